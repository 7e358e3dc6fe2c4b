"""The cluster is close to a size that Kubernetes is not tested for.

The thresholds are promises of the project: below them its service levels hold, above them nobody
has measured. They are no walls, so a cluster near one gets a warning and never more.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from k8sdiag.checks import _cluster_control_plane as control_planes
from k8sdiag.checks import _cluster_usages as usages
from k8sdiag.checks._cluster_limits import ClusterSize
from k8sdiag.facts.cluster import ControlPlane, ServiceEndpoints, Services
from k8sdiag.facts.etcd_objects import EtcdObjects
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Missing, Remedy, Said, Severity, Unseen, Usage

EACH = {
    "bytes-of-a-type": " of one type",
    "endpoints-per-service": " of one Service",
    "objects-of-a-type": " of one type",
    "pods-per-namespace": " in one namespace",
    "pods-per-node": " on a node",
    "services-per-namespace": " in one namespace",
}


def check(
    nodes: Nodes,
    pods: Pods | Missing,
    services: Services | Missing,
    endpoints: ServiceEndpoints | Missing,
    objects: EtcdObjects | Missing,
    control_plane: ControlPlane | Missing,
    limits: ClusterSize,
) -> Iterator[Said]:
    measured = [usages.of_nodes(nodes, limits)]
    if isinstance(pods, Pods):
        measured += usages.of_pods(pods, nodes, limits)
    if isinstance(services, Services):
        measured += usages.of_services(services, limits)
    if isinstance(endpoints, ServiceEndpoints):
        measured += usages.of_endpoints(endpoints, limits)
        yield from _truncated(endpoints, limits)
    if isinstance(objects, EtcdObjects):
        measured += usages.of_objects(objects, limits)
    for what, fact in (
        ("pods", pods),
        ("Services", services),
        ("endpoints", endpoints),
        ("objects by type", objects),
    ):
        if isinstance(fact, Missing):
            yield Unseen(subject=what, reason=fact.reason)
    for usage in measured:
        yield usage
        tested = usage
        if usage.limit_id == "pods-per-node":
            # Nodes that are full by their own maxPods, or small, are packed well: that is no news.
            tested = replace(usage, limit=float(limits.pods_per_node))
        if tested.ratio >= limits.warning:
            yield _near(tested)
    yield from control_planes.size(nodes, limits)
    if isinstance(control_plane, ControlPlane):
        yield from control_planes.one_api_server(nodes, control_plane, limits)
        yield from control_planes.proxy_mode(services, control_plane, limits)
    else:
        yield from control_planes.unseen(nodes, services, control_plane, limits)


def _near(usage: Usage) -> Finding:
    whole = "the mean node" if usage.limit_id == "pods-per-node" else "the cluster"
    who = whole if usage.subject == "cluster" else usage.subject
    return Finding(
        code="near-threshold",
        severity=Severity.WARNING,
        subject=usage.subject,
        message=f"{who}: {_amount(usage.used, usage.unit)}, and Kubernetes is tested up to "
        f"{_amount(usage.limit, usage.unit)}{EACH.get(usage.limit_id, '')}",
        observed=usage.used,
        limit=usage.limit,
        remedy=Remedy(
            summary="give what grows a cluster of its own, or load-test this one before it grows on"
        ),
    )


def _amount(value: float, unit: str) -> str:
    return f"{value / 1e9:,.2f} GB" if unit == "bytes" else f"{value:,.0f} {unit}"


def _truncated(endpoints: ServiceEndpoints, limits: ClusterSize) -> Iterator[Finding]:
    cut = [b for b in endpoints.largest if b.endpoints > limits.endpoints_object]
    if not cut:
        return
    named = ", ".join(f"{b.subject} has {b.endpoints:,}" for b in cut[:3])
    more = f" and {len(cut) - 3} more have too many" if len(cut) > 3 else ""
    yield Finding(
        code="endpoints-truncated",
        severity=Severity.WARNING,
        subject="cluster",
        message=f"an Endpoints object holds {limits.endpoints_object:,}, and {named}{more}: "
        "whoever still reads Endpoints (Prometheus with role: endpoints, as of ServiceMonitors, "
        "and older ingress controllers) does not see the rest",
        observed=cut[0].endpoints,
        limit=limits.endpoints_object,
        remedy=Remedy(
            summary="let readers use EndpointSlices (Prometheus: role: endpointslice; its "
            "operator: serviceDiscoveryRole: EndpointSlice, or a PodMonitor)"
        ),
    )
