"""A CPU of a node drops packets that the network card has delivered.

Each CPU has an input queue of net.core.netdev_max_backlog packets; what arrives at a full one is
thrown away, and no interface counts it. One busy CPU is enough where the card or the pods'
virtual interfaces send all packets to the same one.
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import subject_of, unseen_nodes
from k8sdiag.facts.kernel import PacketDrops
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Severity, Unseen


class SoftnetDropsLimits(Limits, frozen=True, kw_only=True):
    per_second: float = 1.0  # fewer are a short burst, which TCP mends by itself


def check(
    drops: PacketDrops, nodes: Nodes | Missing, limits: SoftnetDropsLimits
) -> Iterator[Finding | Unseen]:
    yield from unseen_nodes(drops.host, nodes)
    subject = subject_of(drops.host, nodes)
    if drops.softnet.delta is None:
        yield Unseen(subject=f"input queues of {subject}", reason=drops.softnet.unknown)
    elif drops.softnet.delta and drops.softnet.delta >= limits.per_second * drops.look_seconds:
        yield Finding(
            code="dropping",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{drops.softnet.delta:,} packets found a full input queue within "
            f"{drops.look_seconds:g}s, {drops.softnet.since_boot:,} since boot",
            observed=float(drops.softnet.delta),
            remedy=sysctl.setting(
                {"net.core.netdev_max_backlog": 10_000},
                "give bursts more room, and spread the load: the card's queues over the CPUs "
                "(irqbalance), or receive packet steering",
                "softnet",
            ),
        )
