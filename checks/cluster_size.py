"""The cluster is close to a size that Kubernetes is not tested for.

The thresholds are promises of the project: below them its service levels hold, above them nobody
has measured. They are no walls, so a cluster near one gets a warning and never more.
"""

from collections.abc import Iterator

from k8sdiag.checks import _cluster_usages as usages
from k8sdiag.checks._cluster_limits import ClusterSize
from k8sdiag.facts.cluster import ControlPlane, Services
from k8sdiag.facts.etcd_objects import EtcdObjects
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Missing, Remedy, Said, Severity, Unseen, Usage


def check(
    nodes: Nodes,
    pods: Pods | Missing,
    services: Services | Missing,
    objects: EtcdObjects | Missing,
    control_plane: ControlPlane | Missing,
    limits: ClusterSize,
) -> Iterator[Said]:
    measured = [usages.of_nodes(nodes, limits)]
    if isinstance(pods, Pods):
        measured += usages.of_pods(pods, nodes, limits)
    if isinstance(services, Services):
        measured += usages.of_services(services, limits)
    if isinstance(objects, EtcdObjects):
        measured += usages.of_objects(objects, limits)
    for what, fact in (("pods", pods), ("Services", services), ("objects by type", objects)):
        if isinstance(fact, Missing):
            yield Unseen(subject=what, reason=fact.reason)
    for usage in measured:
        yield usage
        if usage.ratio >= limits.warning:
            yield _near(usage)
    if isinstance(control_plane, ControlPlane):
        yield from _control_plane(nodes, services, control_plane, limits)


def _near(usage: Usage) -> Finding:
    where = "" if usage.subject == "cluster" else f" of {usage.subject}"
    return Finding(
        code="near-threshold",
        severity=Severity.WARNING,
        subject=usage.subject,
        message=f"{usage.limit_id.replace('-', ' ')}{where}: {usage.used:,.0f}, and Kubernetes is "
        f"tested up to {usage.limit:,.0f} {usage.unit}",
        observed=usage.used,
        limit=usage.limit,
        remedy=Remedy(
            summary="give what grows a cluster of its own, or load-test this one before it grows on"
        ),
    )


def _control_plane(
    nodes: Nodes, services: Services | Missing, control_plane: ControlPlane, limits: ClusterSize
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
