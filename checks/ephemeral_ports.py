"""A node runs out of local ports towards one peer.

A TCP connection needs a local port that no other connection from the same address to the same
peer uses, and keeps it for a minute after its end. Programs that open one for each request to a
busy peer meet "Cannot assign requested address".
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import level, subject_of, unseen_nodes
from k8sdiag.facts.kernel import EphemeralPorts
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

WIDER = {
    "net.ipv4.ip_local_reserved_ports": "30000-32767",  # those of NodePort services
    "net.ipv4.ip_local_port_range": "16384 60999",
}


class EphemeralPortsLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of the range, towards one peer; finding a free port gets slow before
    critical: Share = 0.95  # our judgment: a burst of connections ends it


def check(
    ports: EphemeralPorts, nodes: Nodes | Missing, limits: EphemeralPortsLimits
) -> Iterator[Finding | Usage | Unseen]:
    yield from unseen_nodes(ports.host, nodes)
    size = ports.last - ports.first + 1
    busiest = ports.busiest
    used = busiest.ports if busiest else ports.sockets
    peer = f"towards {busiest.peer}" if busiest else "by all TCP sockets together, at most"
    usage = Usage(
        limit_id="ephemeral-ports",
        subject=subject_of(ports.host, nodes),
        used=float(used),
        limit=float(size),
        unit="ports",
        driver="pods_per_node",
        source=f"{peer}: {ports.provenance}",
    )
    yield from level(
        usage,
        code="near-limit",
        message=f"{used:,} of the {size:,} local ports from {ports.first} on are taken {peer}",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            WIDER,
            "let the program keep its connections open and use them again; widen the range",
            "ports",
        ),
    )
