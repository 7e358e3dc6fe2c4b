"""The neighbor table's thresholds are too small for this cluster, or wrong in themselves.

A table fills in seconds when a cluster scales up, so its size must be right before: the kernel's
default of 1,024 entries is a matter of a thousand nodes, or of thirty pods on one bridge.
"""

from collections.abc import Iterator

from k8sdiag import neighbors
from k8sdiag.facts.neighbor import DEFAULT_GC_THRESH, NeighborTable, NeighborTables
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Severity, Unseen


class NeighborLimits(Limits, frozen=True, kw_only=True):
    large_nodes: int = 500  # a node of a larger cluster needs more than the kernel's default
    pods_per_node: int = 110  # the kubelet's own default (maxPods); for the advised size


def check(
    tables: NeighborTables, nodes: Nodes | Missing, limits: NeighborLimits
) -> Iterator[Finding | Unseen]:
    size = 0
    if isinstance(nodes, Nodes) and any(
        neighbors.is_node(tables.host, n.name) for n in nodes.nodes
    ):
        size = len(nodes.nodes)
    elif isinstance(nodes, Nodes) or nodes.asked:
        why = "this host is no node of the cluster" if isinstance(nodes, Nodes) else nodes.reason
        yield Unseen(subject="the thresholds of the cluster's nodes", reason=why)
    for table in tables.tables:
        yield from _of_table(f"node/{tables.host}", table, size, limits)


def _of_table(
    subject: str, table: NeighborTable, size: int, limits: NeighborLimits
) -> Iterator[Finding | Unseen]:
    first, second, third = table.gc_thresh1, table.gc_thresh2, table.gc_thresh3
    name = {"ipv4": "IPv4 (ARP)", "ipv6": "IPv6 (NDP)"}[table.family]
    if first is None or second is None or third is None:
        yield Unseen(subject=f"{subject} {name}", reason="its thresholds can't be read from here")
        return
    if not first <= second <= third:
        yield Finding(
            code="out-of-order",
            severity=Severity.WARNING,
            subject=subject,
            message=f"the {name} thresholds 1, 2, 3 are {first:,}, {second:,}, {third:,}: they "
            "work only in rising order",
            remedy=neighbors.raise_to(neighbors.advised(max(first, second, third) / 2)),
        )
    if size > limits.large_nodes and third <= DEFAULT_GC_THRESH[2]:
        need = neighbors.need(size, limits.pods_per_node)
        yield Finding(
            code="too-small",
            severity=Severity.WARNING,
            subject=subject,
            message=f"the {name} table may hold {third:,} entries, the kernel's default; a node "
            f"that talks to all {size:,} needs up to {need:,.0f}",
            observed=need,
            limit=float(third),
            remedy=neighbors.raise_to(neighbors.advised(need)),
        )
