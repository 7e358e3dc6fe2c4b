"""A node runs out of local ports towards one peer.

A TCP connection needs a local port that no other connection from the same address to the same
peer uses, and keeps it for a minute after its end. Programs that open one for each request to a
busy peer meet "Cannot assign requested address".
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import level, subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import EphemeralPorts
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Remedy, Share, Unseen, Usage

MEND = "scrape `k8sdiag serve node` with hostNetwork there"
FIRST, LAST = 16_384, 60_999
WIDER = {
    "net.ipv4.ip_local_reserved_ports": "30000-32767",  # those of NodePort services
    "net.ipv4.ip_local_port_range": f"{FIRST} {LAST}",
}
REUSE = "let the program keep its connections open and use them again"


class EphemeralPortsLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of the range, towards one peer; finding a free port gets slow before
    critical: Share = 0.95  # our judgment: a burst of connections ends it


def check(
    ports: EphemeralPorts | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: EphemeralPortsLimits,
) -> Iterator[Finding | Usage | Unseen]:
    if isinstance(ports, EphemeralPorts):
        busiest = ports.busiest
        peer = f"towards {busiest.peer}" if busiest else "by all TCP sockets together, at most"
        yield from _verdict(
            subject_of(ports.host, nodes),
            Reading(
                used=busiest.ports if busiest else ports.sockets,
                limit=ports.last - ports.first + 1,
                source=f"{peer}: {ports.provenance}",
            ),
            limits=limits,
            taken=f"local ports from {ports.first} on are taken {peer}",
        )
    taken = "local ports are taken towards the busiest peer, at most"
    verdict = partial(_verdict, limits=limits, taken=taken)
    yield from elsewhere(ports, fleet, nodes, verdicts={"ephemeral-ports": verdict}, mend=MEND)


def _verdict(
    subject: str, told: Reading, limits: EphemeralPortsLimits, taken: str
) -> Iterator[Finding | Usage]:
    yield from level(
        Usage(
            limit_id="ephemeral-ports",
            subject=subject,
            used=told.used,
            limit=told.limit,
            unit="ports",
            driver="pods_per_node",
            source=told.source,
        ),
        code="near-limit",
        message=f"{told.used:,.0f} of the {told.limit:,.0f} {taken}",
        warning=limits.warning,
        critical=limits.critical,
        remedy=Remedy(summary=f"{REUSE}, or connect to several addresses of its peer")
        if told.limit > LAST - FIRST
        else sysctl.setting(WIDER, f"{REUSE}; widen the range", "ports"),
    )
