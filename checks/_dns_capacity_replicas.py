"""How many DNS servers there are, where they run, and whether their memory is enough."""

import math
from collections.abc import Iterator

from k8sdiag.checks import _dns_capacity_remedy as remedy
from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks._dns_servers import servers, verifies_pods
from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Said, Severity, Unseen, Usage


def subject(dns: CoreDNS) -> str:
    return dns.workload.subject if dns.workload else f"service/{dns.service}"


def wanted(nodes: Nodes, limits: DnsCapacity) -> int:
    """By the formula of the cluster-proportional-autoscaler, never one alone."""
    cores = sum(n.cpus for n in nodes.nodes)
    by_cores = math.ceil(cores / limits.cores_per_replica)
    return max(2, by_cores, math.ceil(len(nodes.nodes) / limits.nodes_per_replica))


def judge(dns: CoreDNS, nodes: Nodes | Missing, limits: DnsCapacity) -> Iterator[Said]:
    if dns.replicas is None:
        return  # a gap of the fact, which says why
    if not dns.ready:
        yield Finding(
            code="none-ready",
            severity=Severity.CRITICAL,
            subject=subject(dns),
            message=f"none of its {len(dns.replicas)} pods is ready: no name of the cluster "
            "resolves, nor any other through it",
            remedy=Remedy(
                summary="see why its pods do not become ready",
                commands=(
                    f"kubectl -n {dns.namespace} get pods -o wide -l {remedy.labels(dns)}",
                    f"kubectl -n {dns.namespace} logs {remedy.target(dns)} --tail=50",
                ),
            ),
        )
        return
    if isinstance(nodes, Missing):
        yield Unseen(subject="the number of DNS servers for this cluster", reason=nodes.reason)
        return
    yield from _few(dns, nodes, limits)
    if len(nodes.nodes) > limits.few_nodes:
        yield from _together(dns, nodes)
    large = len(nodes.nodes) >= limits.large_nodes
    if large and dns.budgets == () and dns.workload and dns.workload.kind == "Deployment":
        yield Finding(
            code="no-budget",
            severity=Severity.WARNING,
            subject=subject(dns),
            message=f"no PodDisruptionBudget is for its {len(dns.ready)} pods: a drain of several "
            "nodes at once, as in an upgrade, can end all of them",
            remedy=remedy.budget(dns),
        )


def _few(dns: CoreDNS, nodes: Nodes, limits: DnsCapacity) -> Iterator[Finding]:
    count, ready = len(nodes.nodes), len(dns.ready)
    need = wanted(nodes, limits)
    if ready == 1 and count > limits.few_nodes:
        made = len(dns.replicas or ())
        which = "one DNS server" if made == 1 else f"one of {made} DNS servers is ready and"
        yield Finding(
            code="one-replica",
            severity=Severity.CRITICAL,
            subject=subject(dns),
            message=f"{which} answers for {count:,} nodes: while it restarts, or its node fails, "
            "nothing resolves",
            observed=1.0,
            limit=float(need),
            remedy=remedy.scale(dns, need, count, limits),
        )
    elif count >= limits.large_nodes and ready < need and _is_scaled(dns):
        cores = sum(n.cpus for n in nodes.nodes)
        yield Finding(
            code="few-replicas",
            severity=Severity.WARNING,
            subject=subject(dns),
            message=f"{ready} DNS servers answer for {count:,} nodes with {cores:,.0f} cores, and "
            f"the autoscaler's formula makes it {need}{_autoscaled(dns, nodes, need)}",
            observed=float(ready),
            limit=float(need),
            remedy=remedy.scale(dns, need, count, limits),
        )


def _is_scaled(dns: CoreDNS) -> bool:
    """A DaemonSet, as OpenShift's, grows by itself; what was not seen may be one."""
    return dns.workload.kind != "DaemonSet" if dns.workload else not dns.gaps


def _autoscaled(dns: CoreDNS, nodes: Nodes, need: int) -> str:
    if dns.autoscaler is None:
        return "; no ConfigMap of an autoscaler was found" if not dns.gaps else ""
    makes = dns.autoscaler.replicas(sum(n.cpus for n in nodes.nodes), len(nodes.nodes))
    if makes < need:
        return f"; ConfigMap {dns.autoscaler.config_map} tells its autoscaler to make {makes}"
    return (
        f"; by ConfigMap {dns.autoscaler.config_map} its autoscaler should make {makes}: does it "
        "run, and do all of them become ready?"
    )


def _together(dns: CoreDNS, nodes: Nodes) -> Iterator[Finding]:
    """All of several replicas in one place."""
    if len(dns.ready) < 2:
        return
    places = {r.node for r in dns.ready}
    zone_of = {n.name: n.zone for n in nodes.nodes}
    zones = {zone_of.get(name, "") for name in places}
    among = {n.zone for n in nodes.nodes if n.ready and n.schedulable and n.zone}
    if len(places) == 1:
        code, where = "one-node", f"on node {min(places)}"
    elif len(zones) == 1 and zones < among:
        code, where = "one-zone", f"in zone {min(zones)} of {len(among)}"
    else:
        return
    yield Finding(
        code=code,
        severity=Severity.CRITICAL,
        subject=subject(dns),
        message=f"all {len(dns.ready)} DNS servers of {len(nodes.nodes):,} nodes run {where}: "
        "with it fails every lookup",
        remedy=remedy.spread(dns),
    )


def memory(
    dns: CoreDNS, pods: int | None, resident_bytes: int, measured: str, limits: DnsCapacity
) -> Iterator[Said]:
    """Against the container's limit: what the replicas take, else what the formula says.

    coredns/deployment, Scaling_CoreDNS.md: (pods + services) / 1000 + 54 MB, and / 250 + 56 MB
    where it watches pods, for autopath. Other DNS servers are not judged.
    """
    if "coredns" not in dns.image or not dns.memory_limit_bytes:
        return
    watches = any(verifies_pods(server) for server in servers(dns))
    fixed, each = (56e6, 1e6 / 250) if watches else (54e6, 1e6 / 1000)
    if resident_bytes:
        used, source = float(resident_bytes), f"the largest replica, {measured}"
    elif pods is not None:
        used = fixed + each * (pods + dns.services)
        source = f"formula of coredns/deployment for {pods:,} pods and {dns.services:,} Services"
    else:
        return
    limit = float(dns.memory_limit_bytes)
    yield Usage(
        limit_id="coredns-memory",
        subject=subject(dns),
        used=used,
        limit=limit,
        unit="bytes",
        driver="pods",
        fixed=min(fixed, used),
        source=f"{source}; limit of the container {dns.container}",
    )
    if used < limits.memory_ratio * limit:
        return
    critical = resident_bytes and used >= limits.memory_critical * limit
    yield Finding(
        code="memory",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        subject=subject(dns),
        message=f"a DNS server takes {used / 2**20:,.0f} MiB of the {limit / 2**20:,.0f} MiB that "
        f"it may ({source}): past it the kernel kills all replicas, one after the other",
        observed=used,
        limit=limit,
        remedy=remedy.memory(dns, used),
    )
