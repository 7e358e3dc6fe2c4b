"""The neighbor tables of the whole fleet, from the node exporters that Prometheus scrapes.

One query for each metric: 5,000 nodes answer with about a megabyte.
"""

from k8sdiag.facts.neighbor import FleetNeighborTables, HostTables, NeighborTable
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus

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
_NODE_LABELS = ("node", "kubernetes_node", "nodename")
Place = tuple[str, str]  # job and instance: what Prometheus scrapes as one


def collect(reader: Prometheus) -> FleetNeighborTables:
    numbers: dict[tuple[Place, str], dict[str, float]] = {}
    names: dict[Place, str] = {}
    clusters: set[str] = set()
    for field, promql in _FIELDS.items():
        for labels, value in reader.instant(promql):
            clusters.add(labels.get("cluster", ""))
            place = _place(labels)
            names[place] = _name(labels)
            numbers.setdefault((place, labels.get("family", "")), {})[field] = value
        if not numbers:
            raise Unavailable(
                f"{reader.name} scrapes no k8sdiag node exporter: run `k8sdiag serve node` on "
                "every node"
            )
    if len(clusters) > 1:
        told = ", ".join(sorted(c or "without a name" for c in clusters))
        raise Unavailable(f"{reader.name} holds several clusters ({told}): give the one of this")
    for labels, _ in reader.instant(_NAMES):
        if labels.get("subject", "").startswith("node/"):
            names[_place(labels)] = labels["subject"].removeprefix("node/")
    hosts: dict[Place, list[NeighborTable]] = {}
    for (place, family), found in sorted(numbers.items()):
        if "entries" in found:
            hosts.setdefault(place, []).append(_table(family, found))
    return FleetNeighborTables(
        hosts=tuple(HostTables(names[place], tuple(tables)) for place, tables in hosts.items()),
        gaps=reader.gaps(),
        provenance=reader.name,
    )


def _place(labels: Labels) -> Place:
    return labels.get("job", ""), labels.get("instance", "")


def _name(labels: Labels) -> str:
    """The node by a label that the scrape configuration gives, else the address of the target."""
    address = labels.get("instance", "").rpartition(":")[0].strip("[]")
    return next((labels[name] for name in _NODE_LABELS if labels.get(name)), address)


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
