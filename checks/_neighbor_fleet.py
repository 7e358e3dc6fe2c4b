"""The neighbor tables of the fleet, told by node pool."""

from collections.abc import Iterator

from msgspec.structs import replace

from k8sdiag.checks._neighbor_verdict import NeighborTableLimits, usage, verdict
from k8sdiag.facts.neighbor import FleetNeighborTables, HostTables, NeighborTable
from k8sdiag.model import Finding, Unseen, Usage
from k8sdiag.neighbors import Places


def judged(
    fleet: FleetNeighborTables, known: Places, but: set[str], limits: NeighborTableLimits
) -> Iterator[Finding | Usage | Unseen]:
    """What the tables of all nodes say, `but` for those already judged; strangers are left out."""
    pools: dict[str, list[tuple[str, HostTables]]] = {}
    for host in fleet.hosts:
        node = known.find(host.host)
        if (known and node is None) or (node and node.name in but):
            continue
        name, pool = (node.name, node.pool) if node else (host.host, "")
        pools.setdefault(pool, []).append((name, host))
    for pool, hosts in sorted(pools.items()):
        for family in sorted({table.family for _, host in hosts for table in host.tables}):
            of_family = [
                (name, table, host.tables)
                for name, host in hosts
                for table in host.tables
                if table.family == family
            ]
            peerless = known.lack(family)
            yield from _of_pool(pool, of_family, fleet.provenance, limits, peerless=peerless)


def _of_pool(
    pool: str,
    tables: list[tuple[str, NeighborTable, tuple[NeighborTable, ...]]],
    source: str,
    limits: NeighborTableLimits,
    *,
    peerless: bool,
) -> Iterator[Finding | Usage | Unseen]:
    """The worst node for each kind of finding, and how many there are of it; the fullest node."""
    said = [x for name, table, own in tables for x in verdict(f"node/{name}", table, own, limits)]
    found: dict[str, list[Finding]] = {}
    for finding in (x for x in said if isinstance(x, Finding)):
        found.setdefault(finding.code, []).append(finding)
    for alike in found.values():
        worst = min(alike, key=lambda f: (-f.severity.rank, -(f.observed or 0), f.subject))
        if len(alike) > 1:
            example = worst.subject.removeprefix("node/")
            of = f"{len(alike):,} of {len(tables):,} nodes, e.g. {example}"
            worst = replace(
                worst, subject=f"pool/{pool or 'unnamed'}", message=f"{of}: {worst.message}"
            )
        yield worst
    if unseen := [x for x in said if isinstance(x, Unseen)]:
        yield replace(unseen[0], subject=f"{len(unseen)} nodes, e.g. {unseen[0].subject}")
    usages = [
        used
        for name, table, _ in tables
        for used in usage(f"node/{name}", table, source, limits, several=True, peerless=peerless)
    ]
    if usages:
        yield max(usages, key=lambda used: used.ratio)
