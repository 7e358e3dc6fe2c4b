"""A program on a node accepts connections more slowly than they come.

When the queue of a listening socket is full the kernel drops what arrives: the client tries again
after a second, then after two, and nobody sees an error. It shows when many clients come back at
once: nodes after an outage, pods after a rollout.
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import PacketDrops
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Remedy, Severity, Unseen, Usage

MEND = "scrape node_exporter with hostNetwork there"


class ListenOverflowLimits(Limits, frozen=True, kw_only=True):
    per_second: float = 1.0  # fewer are a short burst; each of them is one client's retry


def check(
    drops: PacketDrops | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: ListenOverflowLimits,
) -> Iterator[Finding | Usage | Unseen]:
    if isinstance(drops, PacketDrops):
        subject, seen = subject_of(drops.host, nodes), drops.listen
        if seen.delta is None:
            yield Unseen(subject=f"listen queues of {subject}", reason=seen.unknown)
        else:
            here = Reading(used=seen.delta, seconds=drops.look_seconds)
            before = f", {seen.since_boot:,} since boot"
            yield from _verdict(subject, here, limits=limits, before=before)
    verdict = partial(_verdict, limits=limits)
    yield from elsewhere(drops, fleet, nodes, verdicts={"listen-overflow": verdict}, mend=MEND)


def _verdict(
    subject: str, told: Reading, limits: ListenOverflowLimits, before: str = ""
) -> Iterator[Finding]:
    dropped = round(told.used)
    if dropped and dropped >= limits.per_second * told.seconds:
        yield Finding(
            code="overflowing",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{dropped:,} connections found a full listen queue within "
            f"{told.seconds:g}s{before}",
            observed=float(dropped),
            remedy=Remedy(
                summary="find the socket whose Recv-Q is above its Send-Q: its program is too "
                "slow, or its backlog too small; net.core.somaxconn caps what a program asks for: "
                "raise it, if it is smaller",
                commands=("ss -ltnp", "sysctl -w net.core.somaxconn=16384"),
            ),
        )
