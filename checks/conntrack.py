"""The connection tracking table of a node is full, or close to it.

At nf_conntrack_max the kernel drops the first packet of each new connection that passes the
node: of its own programs, and of every pod behind its NAT.
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import level, subject_of, unseen_nodes
from k8sdiag.facts.kernel import Conntrack
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage


class ConntrackLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.75  # of nf_conntrack_max; node-mixin's NodeHighNumberConntrackEntriesUsed
    critical: Share = 0.9  # as node-problem-detector judges it; drops above it are the full table's


def check(
    conntrack: Conntrack, nodes: Nodes | Missing, limits: ConntrackLimits
) -> Iterator[Finding | Usage | Unseen]:
    yield from unseen_nodes(conntrack.host, nodes)
    if not conntrack.limit or conntrack.entries is None:
        return  # nothing is tracked
    usage = Usage(
        limit_id="conntrack",
        subject=subject_of(conntrack.host, nodes),
        used=float(conntrack.entries),
        limit=float(conntrack.limit),
        unit="connections",
        driver="pods_per_node",
        source=conntrack.provenance,
    )
    code, dropped = "near-limit", ""
    # The counter has other reasons too, such as two first packets of one connection at once.
    if conntrack.drops_delta and usage.ratio >= limits.critical:
        code = "dropping"
        dropped = f", and {conntrack.drops_delta:,} packets of new connections were dropped within "
        dropped += f"{conntrack.look_seconds:g}s"
    yield from level(
        usage,
        code=code,
        message=f"the connection tracking table is {usage.ratio:.0%} full "
        f"({conntrack.entries:,} connections, nf_conntrack_max {conntrack.limit:,}){dropped}",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            {"net.netfilter.nf_conntrack_max": 2 * conntrack.limit},
            "give it twice the room, and set conntrack.min and maxPerCore of kube-proxy too, which "
            "sets it back otherwise when it starts",
            "conntrack",
        ),
    )
