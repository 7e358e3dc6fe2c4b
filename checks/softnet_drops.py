"""A CPU of a node drops packets that the network card has delivered.

Each CPU has an input queue of net.core.netdev_max_backlog packets; what arrives at a full one is
thrown away, and no interface counts it. One busy CPU is enough where the card or the pods'
virtual interfaces send all packets to the same one.
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import PacketDrops
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Severity, Unseen, Usage

MEND = "scrape node_exporter there"


class SoftnetDropsLimits(Limits, frozen=True, kw_only=True):
    per_second: float = 1.0  # fewer are a short burst, which TCP mends by itself


def check(
    drops: PacketDrops | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: SoftnetDropsLimits,
) -> Iterator[Finding | Usage | Unseen]:
    if isinstance(drops, PacketDrops):
        subject, seen = subject_of(drops.host, nodes), drops.softnet
        if seen.delta is None:
            yield Unseen(subject=f"input queues of {subject}", reason=seen.unknown)
        else:
            here = Reading(used=seen.delta, seconds=drops.look_seconds)
            before = f", {seen.since_boot:,} since boot"
            yield from _verdict(subject, here, limits=limits, before=before)
    verdict = partial(_verdict, limits=limits)
    yield from elsewhere(drops, fleet, nodes, verdicts={"softnet-drops": verdict}, mend=MEND)


def _verdict(
    subject: str, told: Reading, limits: SoftnetDropsLimits, before: str = ""
) -> Iterator[Finding]:
    dropped = round(told.used)
    if dropped and dropped >= limits.per_second * told.seconds:
        yield Finding(
            code="dropping",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{dropped:,} packets found a full input queue within "
            f"{told.seconds:g}s{before}",
            observed=float(dropped),
            remedy=sysctl.setting(
                {"net.core.netdev_max_backlog": 10_000},
                "give bursts more room, if they have less, and spread the load: the card's "
                "queues over the CPUs (irqbalance), or receive packet steering",
                "softnet",
            ),
        )
