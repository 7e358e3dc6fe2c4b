"""The kernel's neighbor (ARP/NDP) table is full, or close to it.

At gc_thresh3 the kernel refuses entries for new peers: packets to them vanish, without an
error in most programs, while all known peers go on to work. The table is one per kernel and
counts every pod's neighbors; what a single network namespace shows says nothing of it.
"""

from collections.abc import Iterator

from k8sdiag import neighbors
from k8sdiag.checks._neighbor_fleet import judged
from k8sdiag.checks._neighbor_verdict import NeighborTableLimits, usage, verdict
from k8sdiag.checks._this_host import subject_of
from k8sdiag.facts.neighbor import FleetNeighborTables, NeighborTable, NeighborTables
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Metric, Missing, Unseen, Usage

WATCH = "run `k8sdiag serve node` on every node, let Prometheus scrape it, and give --prometheus"


def check(
    tables: NeighborTables | Missing,
    fleet: FleetNeighborTables | Missing,
    nodes: Nodes | Missing,
    limits: NeighborTableLimits,
) -> Iterator[Finding | Usage | Metric | Unseen]:
    seen: set[str] = set()
    known = neighbors.Places(nodes.nodes if isinstance(nodes, Nodes) else ())
    if isinstance(tables, NeighborTables):
        subject = subject_of(tables.host, nodes)
        several = isinstance(nodes, Nodes) and len(nodes.nodes) > 1
        for table in tables.tables:
            yield from _metrics(table)
            yield from verdict(subject, table, tables.tables, limits)
            if subject.startswith("node/"):
                yield from usage(
                    subject,
                    table,
                    tables.provenance,
                    limits,
                    several=several,
                    peerless=known.lack(table.family),
                )
    if isinstance(tables, NeighborTables) and (here := known.find(tables.host)):
        seen.add(here.name)
    if isinstance(fleet, FleetNeighborTables):
        yield from judged(fleet, known, seen, limits)
        seen |= {node.name for host in fleet.hosts if (node := known.find(host.host))}
    why = fleet.reason if isinstance(fleet, Missing) and fleet.asked else WATCH
    yield from _unseen(tables, nodes, seen, why)


def _unseen(
    tables: NeighborTables | Missing, nodes: Nodes | Missing, seen: set[str], why: str
) -> Iterator[Unseen]:
    if isinstance(nodes, Missing):
        if nodes.asked:
            yield Unseen(subject="the cluster's nodes", reason=nodes.reason)
        return
    count, dark = len(nodes.nodes), len(nodes.nodes) - len(seen)
    if not seen and isinstance(tables, NeighborTables):
        no_node = f"this host, {tables.host}, is none of them and tells nothing of theirs"
        yield Unseen(subject=f"all {count} nodes", reason=f"{no_node}: {why}")
    elif dark:
        yield Unseen(subject=f"{dark:,} of {count:,} nodes", reason=why)


def _metrics(table: NeighborTable) -> Iterator[Metric]:
    sysctl = "Sysctl neigh.default.gc_thresh"
    numbers = (
        ("entries", "Neighbor entries of all network namespaces, exempt ones too.", table.entries),
        ("gc_thresh1", f"{sysctl}1: below it nothing is aged out.", table.gc_thresh1),
        ("gc_thresh2", f"{sysctl}2: above it entries are collected by force.", table.gc_thresh2),
        ("gc_thresh3", f"{sysctl}3: at it new neighbors are refused.", table.gc_thresh3),
        ("table_fulls_total", "New neighbors refused since boot.", table.table_fulls),
        ("forced_gc_runs_total", "Forced collections since boot.", table.forced_gc_runs),
        ("last_flush_seconds", "Age of the last forced collection.", table.last_flush_seconds),
    )
    for name, text, value in numbers:
        if value is not None:
            yield Metric(
                name=f"neighbor_{name}",
                help=text,
                value=float(value),
                labels={"family": table.family},
                kind="counter" if name.endswith("_total") else "gauge",
            )
    for row in table.devices:
        yield Metric(
            name="neighbor_device_entries",
            help="Neighbor entries of the host's own network namespace; "
            "counts: against gc_thresh3.",
            value=float(row.entries),
            labels={
                "family": table.family,
                "device": row.device,
                "state": row.state,
                "counts": str(row.counts).lower(),
            },
        )
