"""How much an API server's counters grew in a window -> ApiTraffic."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from k8sdiag.facts.api_traffic import ApiTraffic, Calls, Level

DISPATCHED = "apiserver_flowcontrol_dispatched_requests_total"
REFUSED = "apiserver_flowcontrol_rejected_requests_total"
# Of processing alone, as the objective counts: Kubernetes 1.26 on, 1.23 on; and of all there is.
DURATIONS = (
    "apiserver_request_sli_duration_seconds",
    "apiserver_request_slo_duration_seconds",
    "apiserver_request_duration_seconds",
)
# A page has 22 buckets for each kind of request: these two are the service level objectives.
BOUNDS = ("1", "30")
VERBS = ("GET", "LIST", "POST", "PUT", "PATCH", "APPLY", "DELETE")
STREAMS = ("attach", "exec", "log", "portforward", "proxy")


class Growth(NamedTuple):
    """Of one series, labels as the API server gives them."""

    name: str
    labels: Mapping[str, str]
    value: float


def traffic(
    grown: Iterable[Growth], *, seconds: float, servers: int, provenance: str, durations: str
) -> ApiTraffic:
    """`durations` is the histogram that was read, of DURATIONS; "" is none."""
    requests: dict[tuple[str, str, str], float] = defaultdict(float)
    within: dict[tuple[str, str, str], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    passed: dict[str, float] = defaultdict(float)
    refused: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    reasons: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    counted = False
    for name, labels, value in grown:
        level = labels.get("priority_level", "")
        counted = counted or name == DISPATCHED
        kind = _kind(labels)
        if kind and "le" in labels:  # also those of 0: all requests took longer
            within[kind][float(labels["le"])] += value
        elif value <= 0:
            continue
        elif kind:
            requests[kind] += value
        elif name == DISPATCHED:
            passed[level] += value
        elif name == REFUSED:
            refused[level][labels.get("flow_schema", "")] += value
            reasons[level][labels.get("reason", "")] += value
    gaps = {}
    if not durations:
        gaps["how long requests take"] = f"no {DURATIONS[0]} is to be seen"
    if not counted:
        gaps["refused requests"] = f"no {DISPATCHED} is to be seen: priority and fairness is off"
    return ApiTraffic(
        window_seconds=round(seconds, 1),
        servers=servers,
        calls=tuple(
            Calls(
                resource=resource,
                verb=verb,
                scope=scope,
                requests=count,
                within=tuple(sorted(within[resource, verb, scope].items())),
            )
            for (resource, verb, scope), count in sorted(requests.items())
        ),
        levels=tuple(
            Level(
                name=name,
                requests=passed[name],
                refused=dict(sorted(refused[name].items())),
                reasons=dict(sorted(reasons[name].items())),
            )
            for name in sorted(passed.keys() | refused.keys())
        ),
        processing_only=durations != DURATIONS[-1],
        gaps=gaps,
        provenance=provenance,
    )


def _kind(labels: Mapping[str, str]) -> tuple[str, str, str] | None:
    """(resource, verb, scope); None for what is no request for an object, and for streams."""
    verb, resource, part = (labels.get(name, "") for name in ("verb", "resource", "subresource"))
    if verb not in VERBS or not resource or part in STREAMS:
        return None
    name = ".".join(filter(None, (resource, labels.get("group"))))
    return f"{name}/{part}" if part else name, verb, labels.get("scope", "")
