"""The cluster runs out of pod CIDRs or of Service addresses.

Both ranges are fixed when the cluster is made. With the last pod CIDR given away the next node
never becomes ready; with the last ClusterIP the next Service can't be created.
"""

import ipaddress
from collections.abc import Iterator

from k8sdiag.facts.cluster import ControlPlane, Services
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Remedy, Severity, Share, Unseen, Usage


class ClusterAddresses(Limits, frozen=True, kw_only=True):
    warning: Share = 0.8  # of a range: a larger one takes weeks of work
    critical: Share = 0.95  # of a range: the next scale-up may be the last


def check(
    nodes: Nodes,
    services: Services | Missing,
    control_plane: ControlPlane | Missing,
    limits: ClusterAddresses,
) -> Iterator[Finding | Usage | Unseen]:
    # Nodes without a pod CIDR have a network plugin that hands out addresses by itself.
    ranged = any(node.pod_cidrs for node in nodes.nodes)
    if isinstance(control_plane, Missing) and ranged:
        yield Unseen(subject="pod CIDRs", reason=control_plane.reason)
    elif isinstance(control_plane, ControlPlane) and control_plane.allocates:
        for usage in _pod_cidrs(nodes, control_plane):
            yield usage
            yield from _verdict(
                usage,
                limits,
                "pod-cidrs-run-out",
                "when the last is given away, a new node stays NotReady",
                "add a CIDR for pods (a ClusterCIDR of the cloud, a second pod range) or make "
                "new nodes with a longer --node-cidr-mask-size: each then takes fewer addresses",
            )
    if isinstance(services, Missing):
        yield Unseen(subject="Service addresses", reason=services.reason)
        return
    if not services.ranges:
        why = "the server tells its service CIDRs from Kubernetes 1.33 on"
        yield Unseen(subject="Service addresses", reason=why)
    for usage in _service_addresses(services):
        yield usage
        yield from _verdict(
            usage,
            limits,
            "service-addresses-run-out",
            "when the last is given away, no Service can be created",
            "add a ServiceCIDR (networking.k8s.io/v1) with another range",
        )


def _pod_cidrs(nodes: Nodes, control_plane: ControlPlane) -> Iterator[Usage]:
    for cidr in control_plane.cluster_cidrs:
        network = _network(cidr)
        family = f"ipv{network.version}"
        mask = control_plane.node_masks[family]
        own = [_network(c).version for n in nodes.nodes for c in n.pod_cidrs]
        yield Usage(
            limit_id=f"pod-cidrs-{family}",
            subject="cluster",
            used=own.count(network.version),
            limit=2 ** max(0, mask - network.prefixlen),
            unit="nodes",
            driver="nodes",
            source=f"nodes with a pod CIDR; --cluster-cidr {cidr} gives each a /{mask}",
        )


def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(cidr, strict=False)


def _service_addresses(services: Services) -> Iterator[Usage]:
    for version in (4, 6):
        told = [n for r in services.ranges if (n := _network(r)).version == version]
        # ServiceCIDRs may lie in each other: what two of them have is there once.
        networks = list(ipaddress.collapse_addresses(told))  # type: ignore[type-var] # one version
        # The network's own address is never given, nor is the broadcast address of IPv4.
        kept = 2 if version == 4 else 1
        limit = sum(max(0, n.num_addresses - kept) for n in networks)
        if limit:
            yield Usage(
                limit_id=f"service-addresses-ipv{version}",
                subject="cluster",
                used=services.cluster_ips.get(f"ipv{version}", 0),
                limit=limit,
                unit="addresses",
                driver="services",
                source=f"ClusterIPs; the service CIDRs {', '.join(map(str, sorted(told)))}",
            )


def _verdict(
    usage: Usage, limits: ClusterAddresses, code: str, then: str, mend: str
) -> Iterator[Finding]:
    if usage.ratio < limits.warning:
        return
    yield Finding(
        code=code,
        severity=Severity.CRITICAL if usage.ratio >= limits.critical else Severity.WARNING,
        subject=usage.subject,
        message=f"{usage.used:,.0f} of {usage.limit:,.0f} are given away ({usage.source}): {then}",
        observed=usage.used,
        limit=usage.limit,
        remedy=Remedy(summary=mend),
    )
