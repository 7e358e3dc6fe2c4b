"""The neighbor tables of the whole fleet, from the node exporters that Prometheus scrapes.

One query for each metric: 5,000 nodes answer with about a megabyte.
"""

from k8sdiag.facts.neighbor import FleetNeighborTables, HostTables, NeighborTable
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources._node_targets import Place, names, of_one_cluster, place

_SECONDS = 600
_FIELDS = {
    "entries": "k8sdiag_neighbor_entries",
    "gc_thresh1": "k8sdiag_neighbor_gc_thresh1",
    "gc_thresh2": "k8sdiag_neighbor_gc_thresh2",
    "gc_thresh3": "k8sdiag_neighbor_gc_thresh3",
    "table_fulls": "k8sdiag_neighbor_table_fulls_total",
    "forced_gc_runs": "k8sdiag_neighbor_forced_gc_runs_total",
    "last_flush_seconds": "k8sdiag_neighbor_last_flush_seconds",
    "table_fulls_delta": f"increase(k8sdiag_neighbor_table_fulls_total[{_SECONDS}s])",
}
_NAMES = 'k8sdiag_usage{limit_id=~"neighbor-ipv4|neighbor-ipv6"}'  # its subject is the node


def collect(reader: Prometheus) -> FleetNeighborTables:
    numbers: dict[tuple[Place, str], dict[str, float]] = {}
    called: dict[Place, str] = {}
    clusters: set[str] = set()
    for field, promql in _FIELDS.items():
        for labels, value in reader.instant(promql):
            clusters.add(labels.get("cluster", ""))
            at = place(labels)
            called[at] = next(iter(names(labels)), "")
            numbers.setdefault((at, labels.get("family", "")), {})[field] = value
        if not numbers:
            raise Unavailable(
                f"{reader.name} scrapes no k8sdiag node exporter: run `k8sdiag serve node` on "
                "every node"
            )
    of_one_cluster(reader, clusters)
    for labels, _ in reader.instant(_NAMES):
        if labels.get("subject", "").startswith("node/"):
            called[place(labels)] = labels["subject"].removeprefix("node/")
    hosts: dict[Place, list[NeighborTable]] = {}
    for (at, family), found in sorted(numbers.items()):
        if "entries" in found:
            hosts.setdefault(at, []).append(_table(family, found))
    return FleetNeighborTables(
        hosts=tuple(HostTables(called[at], tuple(tables)) for at, tables in hosts.items()),
        gaps=reader.gaps(),
        provenance=reader.name,
    )


def _table(family: str, found: dict[str, float]) -> NeighborTable:
    def number(field: str) -> int | None:
        return round(found[field]) if field in found else None

    return NeighborTable(
        family=family,
        entries=round(found["entries"]),
        gc_thresh1=number("gc_thresh1"),
        gc_thresh2=number("gc_thresh2"),
        gc_thresh3=number("gc_thresh3"),
        table_fulls=number("table_fulls"),
        table_fulls_delta=number("table_fulls_delta"),
        look_seconds=_SECONDS,
        forced_gc_runs=number("forced_gc_runs"),
        last_flush_seconds=found.get("last_flush_seconds"),
    )
