"""A program on a node accepts connections more slowly than they come.

When the queue of a listening socket is full the kernel drops what arrives: the client tries again
after a second, then after two, and nobody sees an error. It shows when many clients come back at
once: nodes after an outage, pods after a rollout.
"""

from collections.abc import Iterator

from k8sdiag.checks._this_host import subject_of, unseen_nodes
from k8sdiag.facts.kernel import PacketDrops
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Remedy, Severity, Unseen


class ListenOverflowLimits(Limits, frozen=True, kw_only=True):
    per_second: float = 1.0  # fewer are a short burst; each of them is one client's retry


def check(
    drops: PacketDrops, nodes: Nodes | Missing, limits: ListenOverflowLimits
) -> Iterator[Finding | Unseen]:
    yield from unseen_nodes(drops.host, nodes)
    subject = subject_of(drops.host, nodes)
    if drops.listen.delta is None:
        yield Unseen(subject=f"listen queues of {subject}", reason=drops.listen.unknown)
    elif drops.listen.delta and drops.listen.delta >= limits.per_second * drops.look_seconds:
        yield Finding(
            code="overflowing",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{drops.listen.delta:,} connections found a full listen queue within "
            f"{drops.look_seconds:g}s, {drops.listen.since_boot:,} since boot",
            observed=float(drops.listen.delta),
            remedy=Remedy(
                summary="find the socket whose Recv-Q is above its Send-Q: its program is too "
                "slow, or its backlog too small; net.core.somaxconn caps what a program asks for",
                commands=("ss -ltnp", "sysctl -w net.core.somaxconn=16384"),
            ),
        )
