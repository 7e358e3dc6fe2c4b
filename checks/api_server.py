"""The API server refuses requests, or answers slower than its objective.

Both begin long before it is down. Refused requests are those of some clients only: controllers
that fall behind, nodes that turn NotReady. It is judged by what happened between two looks, or
in Prometheus' last minutes: counters since the start tell of last week's trouble, too.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from k8sdiag.checks._built_in import BUILT_IN
from k8sdiag.facts.api_traffic import ApiTraffic, Calls, Level
from k8sdiag.facts.cluster import ControlPlane
from k8sdiag.model import Finding, Limits, Metric, Missing, Remedy, Said, Severity, Unseen

# The levels of Kubernetes' own configuration that kubelets, controllers and their leases are in.
VITAL = ("leader-election", "node-high", "system", "workload-high")
WRITES, READS, LISTS = "writes", "reads of one object", "lists"
WORST = 3  # that are named
ALL = "a Prometheus that scrapes all of them tells more (--prometheus URL)"


_Part = Annotated[float, Meta(gt=0, le=1)]


class ApiServer(Limits, frozen=True, kw_only=True):
    refused: _Part = 0.01  # of a level's requests: our judgment; clients try a few again unseen
    fewest: int = 5  # requests, refused or slow: our judgment; below it a share says nothing
    # kubernetes/community, sig-scalability/slos/api_call_latency.md, for the rest: 99 % of the
    # requests within these seconds. They are counted at 1 and at 30 s.
    slow: _Part = 0.01
    object_seconds: float = 1.0
    list_seconds: float = 30.0


def check(
    traffic: ApiTraffic, control_plane: ControlPlane | Missing, limits: ApiServer
) -> Iterator[Said]:
    window = f"within {traffic.window_seconds:,.0f} s"
    for level in traffic.levels:
        yield from _refused(level, window, limits)
    for kind in (WRITES, READS, LISTS):
        yield from _slow(kind, traffic, window, limits)
    yield from _unseen(traffic, control_plane)


def _refused(level: Level, window: str, limits: ApiServer) -> Iterator[Said]:
    refused = sum(level.refused.values())
    if not refused + level.requests:
        return
    share = refused / (refused + level.requests)
    yield Metric(
        name="api_server_refused_ratio",
        help="Share of a priority level's requests that were refused with 429.",
        value=round(share, 6),
        labels={"priority_level": level.name},
    )
    if refused < limits.fewest or share < limits.refused:
        return
    schema = max(level.refused, key=lambda name: (level.refused[name], name))
    yield Finding(
        code="refusing",
        severity=Severity.CRITICAL if level.name in VITAL else Severity.WARNING,
        subject=f"priority-level/{level.name}",
        message=f"{refused:,.0f} of {refused + level.requests:,.0f} requests were refused {window} "
        f"({', '.join(sorted(level.reasons))}), most of them of the flow schema {schema}",
        observed=round(share, 4),
        limit=limits.refused,
        remedy=Remedy(
            summary="find the client that sends most of them, and make it watch instead of list, "
            "or ask less; if all of them are needed, give it a flow schema and a priority level "
            "of its own, or run more API servers",
            commands=(
                "kubectl get --raw /debug/api_priority_and_fairness/dump_requests",
                "kubectl get flowschemas,prioritylevelconfigurations",
            ),
        ),
    )


def _slow(kind: str, traffic: ApiTraffic, window: str, limits: ApiServer) -> Iterator[Said]:
    seconds = limits.list_seconds if kind == LISTS else limits.object_seconds
    calls = [c for c in traffic.calls if c.group in BUILT_IN and _kind(c) == kind]
    counted = {c: n for c in calls if c.requests and (n := _slower(c, seconds)) is not None}
    if len(counted) < sum(bool(c.requests) for c in calls):
        yield Unseen(subject=kind, reason=f"not counted at {seconds:g} s, the objective")
    if not counted:
        return
    total, slow = sum(c.requests for c in counted), sum(counted.values())
    yield Metric(
        name="api_server_slow_ratio",
        help="Share of the requests that took longer than the objective for their kind.",
        value=round(slow / total, 6),
        labels={"kind": kind},
    )
    bad = {c: n for c, n in counted.items() if n >= limits.fewest and n > limits.slow * c.requests}
    if not bad:
        return
    worst = sorted(bad, key=lambda c: (-bad[c], c.resource, c.verb, c.scope))
    named = ", ".join(
        f"{c.verb} {c.resource} {bad[c]:,.0f} of {c.requests:,.0f}" for c in worst[:WORST]
    )
    more = f" and {len(worst) - WORST} more" if len(worst) > WORST else ""
    apart = "webhooks and queues apart" if traffic.processing_only else "webhooks included"
    yield Finding(
        code="slow",
        severity=Severity.WARNING,
        subject=f"api-server/{kind.replace(' ', '-')}",
        message=f"of {kind}, more than 1 in {1 / limits.slow:,.0f} took longer than {seconds:g} s "
        f"{window} ({apart}): {named}{more}",
        observed=round(max(bad[c] / c.requests for c in worst), 4),
        limit=limits.slow,
        remedy=Remedy(
            summary="look at etcd first (k8sdiag audit --check etcd-health), then at the CPUs and "
            "the memory of the control plane, then for clients that list much",
            commands=("kubectl get --raw '/readyz?verbose'", "kubectl top pods -n kube-system"),
        ),
    )


def _kind(calls: Calls) -> str:
    """As the objectives divide them; what they leave out is none of them."""
    if calls.verb == "LIST":
        return LISTS
    if calls.scope != "resource":
        return ""
    return READS if calls.verb == "GET" else WRITES


def _slower(calls: Calls, seconds: float) -> float | None:
    """How many took longer; None where that is not counted."""
    within = dict(calls.within)
    # Prometheus estimates growth, of the count and of the bucket apart.
    return max(0.0, calls.requests - within[seconds]) if seconds in within else None


def _unseen(traffic: ApiTraffic, control_plane: ControlPlane | Missing) -> Iterator[Unseen]:
    if not (traffic.calls or traffic.levels or traffic.gaps):  # kubelets alone ask all the time
        yield Unseen(subject="requests", reason="none was counted in the window")
    if isinstance(control_plane, ControlPlane) and control_plane.api_servers:
        others = control_plane.api_servers - traffic.servers
        if others > 0:
            reason = f"{others} of {control_plane.api_servers} were not seen: {ALL}"
            yield Unseen(subject="API servers", reason=reason)
    elif traffic.servers == 1:
        reason = f"one was seen, and how many there are is not known: {ALL}"
        yield Unseen(subject="API servers", reason=reason)
