"""What all API servers did in the last minutes, by Prometheus."""

from collections.abc import Iterator

from msgspec.structs import replace

from k8sdiag.facts.api_traffic import ApiTraffic
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources._api_traffic import BOUNDS, DISPATCHED, DURATIONS, REFUSED, Growth, traffic

WINDOW_SECONDS = 300  # of the objective: "measured as 99th percentile over last 5 minutes"
WINDOW = f"[{WINDOW_SECONDS}s]"
# Extension API servers, as of metrics-server, have the same metrics: only these serve nodes.
SERVERS = 'apiserver_request_total{group="",resource="nodes"}'
KIND = "cluster, group, resource, subresource, verb, scope"
LE = "|".join(rf"{bound}(\\.0)?" for bound in BOUNDS)  # "1.0" since Prometheus 3


def collect(reader: Prometheus) -> ApiTraffic:
    """Raises Unavailable when Prometheus scrapes no API server, or those of several clusters."""
    servers = reader.instant(f"group by (cluster, job, instance) ({SERVERS})")
    if not servers:
        raise Unavailable(f"{reader.name} scrapes no API server")
    clusters = {labels.get("cluster", "") for labels, _ in servers}
    if len(clusters) > 1:
        names = ", ".join(sorted(c or "without a name" for c in clusters))
        raise Unavailable(
            f"{reader.name} holds the API servers of several clusters ({names}): give the one of "
            "this cluster"
        )
    durations, calls = _calls(reader)
    levels = [
        *_grown(reader, DISPATCHED, "priority_level"),
        *_grown(reader, REFUSED, "priority_level, flow_schema, reason"),
    ]
    found = traffic(
        [*calls, *levels],
        seconds=WINDOW_SECONDS,
        # One that is scraped by two jobs is one.
        servers=len({labels.get("instance", "") for labels, _ in servers}),
        durations=durations,
        provenance=f"{reader.name}, the last {WINDOW_SECONDS} s",
    )
    return replace(found, gaps=found.gaps | reader.gaps())


def _calls(reader: Prometheus) -> tuple[str, list[Growth]]:
    """The best histogram that Prometheus keeps, and its growth; ("", []) without any."""
    for name in DURATIONS:
        if found := list(_grown(reader, f"{name}_count", KIND)):
            return name, found + list(_grown(reader, f"{name}_bucket", f"{KIND}, le", LE))
    return "", []


def _grown(reader: Prometheus, name: str, by: str, le: str = "") -> Iterator[Growth]:
    series = f'{name}{{le=~"{le}"}}' if le else name
    grown = f"increase({series}{WINDOW}) and on (job, instance) {SERVERS}"
    for labels, value in reader.instant(f"sum by ({by}) ({grown})"):
        yield Growth(name, labels, value)
