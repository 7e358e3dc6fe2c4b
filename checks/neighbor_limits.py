"""The neighbor table's thresholds are too small for this cluster, or wrong in themselves.

A table fills in seconds when a cluster scales up, so its size must be right before: the kernel's
default of 1,024 entries is a matter of a thousand nodes, or of thirty pods on one bridge.
"""

from collections.abc import Iterable, Iterator

from k8sdiag import neighbors
from k8sdiag.facts.neighbor import DEFAULT_GC_THRESH, NeighborTable, NeighborTables
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Limits, Missing, Remedy, Severity, Share, Unseen, Usage
from k8sdiag.neighbors import Need, Network

NAMES = {"ipv4": "IPv4 (ARP)", "ipv6": "IPv6 (NDP)"}


class NeighborLimits(Limits, frozen=True, kw_only=True):
    large_nodes: int = 500  # a node of a larger cluster should have more than the default
    pods_per_node: int = 110  # where it is not known: the kubelet's own default (maxPods)
    half: Share = 0.5  # of a limit; needs beyond it are not served by one family alone
    # Entries below gc_thresh1 are never aged out; the kernel's default, net/ipv4/arp.c.
    gc_thresh1: int = 128


def check(
    tables: NeighborTables, nodes: Nodes | Missing, pods: Pods | Missing, limits: NeighborLimits
) -> Iterator[Finding | Usage | Unseen]:
    families: set[str] = set()  # those that the cluster uses
    need = None
    if not isinstance(nodes, Nodes):
        why = nodes.reason if nodes.asked else ""
    elif any(neighbors.is_node(tables.host, n.name) for n in nodes.nodes):
        why = ""
        need = _need(nodes, pods, limits)
        families = {"ipv4"} | {
            "ipv6" for n in nodes.nodes if any(":" in a for a in (*n.pod_cidrs, *n.addresses))
        }
    else:
        why = "this host is no node of the cluster"
    if why:
        yield Unseen(subject="the thresholds of the cluster's nodes", reason=why)
    subject = f"node/{tables.host}"
    raised = any((t.gc_thresh3 or 0) > DEFAULT_GC_THRESH[2] for t in tables.tables)
    for table in tables.tables:
        if table.gc_thresh3 is None:
            name = f"{subject} {NAMES[table.family]}"
            yield Unseen(subject=name, reason="its thresholds can't be read from here")
            continue
        yield from _in_themselves(subject, table, tables.tables)
        if need and table.family in families:
            yield from _for_cluster(
                subject, table, tables.tables, need, limits, other_raised=raised
            )


def _need(nodes: Nodes, pods: Pods | Missing, limits: NeighborLimits) -> Need:
    network, per_node = Network(), float(limits.pods_per_node)
    if isinstance(pods, Pods):
        workloads = (p.workload for p in pods.profiles)
        network = neighbors.network(w.name for w in workloads if w.kind == "DaemonSet")
        per_node = pods.scale().get("pods_per_node", per_node)
    return neighbors.need(network, len(nodes.nodes), per_node)


def _in_themselves(
    subject: str, table: NeighborTable, tables: Iterable[NeighborTable]
) -> Iterator[Finding]:
    if not neighbors.rising(table):
        known = (table.gc_thresh1, table.gc_thresh2, table.gc_thresh3)
        values = [v for v in known if v is not None]
        yield _warning(
            "out-of-order",
            subject,
            f"the {NAMES[table.family]} thresholds 1, 2, 3 work only in rising order, and are "
            + ", ".join(f"{v:,}" for v in values),
            neighbors.raise_to(neighbors.advised(max(values) / 2), tables),
        )


def _for_cluster(
    subject: str,
    table: NeighborTable,
    tables: Iterable[NeighborTable],
    need: Need,
    limits: NeighborLimits,
    *,
    other_raised: bool,
) -> Iterator[Finding | Usage]:
    name, third, first = NAMES[table.family], table.gc_thresh3 or 0, table.gc_thresh1
    default = third <= DEFAULT_GC_THRESH[2]
    yield Usage(
        limit_id=f"neighbor-need-{table.family}",
        subject=subject,
        used=need.usual,
        limit=float(third),
        unit="entries",
        driver="nodes",
        fixed=need.pods,
        source=f"predicted: {need.nodes:,.0f} nodes on one layer-2 network and {need.pods:,.0f} "
        f"entries of a node's own pods, {need.network if need.network.kind else 'any network'}, "
        f"against net.{table.family}.neigh.default.gc_thresh3",
    )
    if need.usual > third or (default and need.nodes > limits.large_nodes):
        most = f", and up to {need.most:,.0f} on its {need.network}" if need.network.kind else ""
        yield _warning(
            "too-small",
            subject,
            f"the {name} table may hold {third:,} entries{', the kernel default' * default}; a "
            f"node that talks to all {need.nodes:,.0f} nodes needs {need.usual:,.0f}{most}",
            neighbors.raise_to(neighbors.advised(need.most), tables),
            observed=round(need.usual, 1),
            limit=third,
        )
    elif default and other_raised and need.usual > limits.half * third:
        yield _warning(
            "one-family",
            subject,
            f"the {name} table may hold {third:,} entries, the kernel default, though the other "
            f"family's limit was raised; a node here needs {need.usual:,.0f} for each",
            neighbors.raise_to(neighbors.advised(need.most), tables),
            observed=round(need.usual, 1),
            limit=third,
        )
    if need.network.kind == "flat" and first is not None and first > limits.gc_thresh1:
        keep = {f"net.{table.family}.neigh.default.gc_thresh1": 0}
        yield _warning(
            "stale-entries",
            subject,
            f"the {name} gc_thresh1 is {first:,}: so many entries are never aged out, and on this "
            "network, which gives addresses of deleted pods to new ones, they point to the wrong "
            "machine",
            neighbors.setting(keep, "let unused entries age out"),
        )


def _warning(
    code: str,
    subject: str,
    message: str,
    remedy: Remedy,
    observed: float | None = None,
    limit: float | None = None,
) -> Finding:
    return Finding(
        code=code,
        severity=Severity.WARNING,
        subject=subject,
        message=message,
        observed=observed,
        limit=limit,
        remedy=remedy,
    )
