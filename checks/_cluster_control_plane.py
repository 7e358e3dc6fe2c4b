"""Whether the control plane is made for a cluster of this size."""

from collections.abc import Iterator

from k8sdiag.checks._cluster_limits import ClusterSize
from k8sdiag.facts.cluster import ControlPlane, Services
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Severity, Unseen

GB = 1e9


def size(nodes: Nodes, limits: ClusterSize) -> Iterator[Finding]:
    """By the smallest of its machines. A managed control plane has none here: nothing is said."""
    machines = [n for n in nodes.nodes if n.control_plane and n.cpus and n.memory_bytes]
    count = len(nodes.nodes)
    rows = [(cpus, gb) for above, cpus, gb in sorted(limits.control_plane) if count > above]
    if not machines or not rows:
        return
    cpus, gb = rows[-1]
    small = [n for n in machines if n.cpus < cpus or n.memory_bytes < gb * GB]
    if not small:
        return
    least = min(small, key=lambda n: (n.cpus, n.memory_bytes, n.name))
    yield Finding(
        code="small-control-plane",
        severity=Severity.WARNING,
        subject="control-plane",
        message=f"{len(small)} of {len(machines)} control plane nodes are small for {count:,} "
        f"nodes: {least.name} has {least.cpus:g} CPUs and {least.memory_bytes / GB:,.0f} GB, and "
        f"{cpus} CPUs and {gb} GB are what Kubernetes gave a control plane of that size",
        observed=least.cpus,
        limit=cpus,
        remedy=Remedy(
            summary="replace them one by one with larger machines, or first see what they use: "
            "etcd and kube-apiserver must hold all objects in memory",
            commands=("kubectl top nodes -l node-role.kubernetes.io/control-plane",),
        ),
    )


def one_api_server(
    nodes: Nodes, control_plane: ControlPlane, limits: ClusterSize
) -> Iterator[Finding]:
    count = len(nodes.nodes)
    if control_plane.api_servers == 1 and count > limits.one_api_server_nodes:
        yield Finding(
            code="one-api-server",
            severity=Severity.WARNING,
            subject="cluster",
            message=f"one kube-apiserver serves {count:,} nodes: while it is away nothing changes, "
            "and when it is back all of them list and watch anew at once",
            observed=1,
            remedy=Remedy(summary="run three control plane nodes behind a load balancer"),
        )


def unseen(
    nodes: Nodes, services: Services | Missing, why: Missing, limits: ClusterSize
) -> Iterator[Unseen]:
    """What would be judged at this size; a managed control plane is its provider's to size."""
    own = any(node.control_plane for node in nodes.nodes)
    if own and len(nodes.nodes) > limits.one_api_server_nodes:
        yield Unseen(subject="the number of API servers", reason=why.reason)
    if isinstance(services, Services) and services.total >= limits.iptables_services:
        yield Unseen(subject="kube-proxy's mode", reason=why.reason)


def proxy_mode(
    services: Services | Missing, control_plane: ControlPlane, limits: ClusterSize
) -> Iterator[Finding]:
    total = services.total if isinstance(services, Services) else 0
    if control_plane.proxy_mode == "iptables" and total >= limits.iptables_services:
        yield Finding(
            code="iptables-mode",
            severity=Severity.WARNING,
            subject="cluster",
            message=f"kube-proxy keeps {total:,} Services in iptables, which each new connection "
            "and each update walk one by one",
            observed=total,
            limit=limits.iptables_services,
            remedy=Remedy(
                summary="set mode: nftables (Kubernetes 1.33 and Linux 5.13 on) and restart "
                "kube-proxy, one node pool at a time",
                commands=(
                    "kubectl -n kube-system edit configmap kube-proxy",
                    "kubectl -n kube-system rollout restart daemonset/kube-proxy",
                ),
            ),
        )
