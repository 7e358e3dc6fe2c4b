"""The quota of an etcd that does not tell it, or that nobody asked: spec, provider, default."""

from collections.abc import Sequence

from msgspec.structs import replace

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.facts.etcd import (
    DEFAULT_QUOTA_BYTES,
    NO_QUOTA,
    EtcdMember,
    EtcdPod,
    EtcdSeenByAPIServer,
)


def with_quota(member: EtcdMember, pods: Sequence[EtcdPod]) -> EtcdMember:
    """The member, with the quota of its pod's spec where it would not tell it itself."""
    if not member.quota_assumed:
        return member
    for pod in pods:
        # kubeadm names a member after its node, and its pod etcd-<node>.
        same = member.endpoint in pod.client_urls or member.name in (pod.name, pod.node)
        if same and pod.quota_bytes is not None:
            source = f"{pod.quota_source} in the spec of pod {pod.namespace}/{pod.name}"
            return replace(
                member, quota_bytes=pod.quota_bytes, quota_source=source, quota_assumed=False
            )
    return member


def unasked(
    seen: EtcdSeenByAPIServer, store: str, pods: Sequence[EtcdPod], limits: EtcdQuota
) -> tuple[int, str, bool]:
    """(bytes, where it comes from, whether it is only assumed) of a store of the API server.

    A quota that is switched off is NO_QUOTA.
    """
    size = seen.db_bytes[store]
    managed = {
        "EKS": (limits.eks_quota_bytes, "of Amazon EKS", False),
        "GKE": (limits.gke_quota_bytes, "of Google GKE", False),
        "AKS": (limits.aks_quota_bytes, "of Azure AKS", False),
    }
    if seen.provider == "EKS" and size > limits.eks_quota_bytes:
        # Past the standard limit it can only be a provisioned control plane.
        return limits.eks_provisioned_quota_bytes, "of a provisioned Amazon EKS", False
    if seen.provider in managed:
        return managed[seen.provider]
    told = [(p.quota_bytes, p) for p in _pods_of(store, pods) if p.quota_bytes is not None]
    if told:
        # The smallest stops all; one that is switched off stops nobody.
        quota, pod = min(told, key=lambda t: (t[0] <= 0, t[0], t[1].name))
        source = f"by the spec of pod {pod.namespace}/{pod.name} ({pod.quota_source})"
        return (quota if quota > 0 else NO_QUOTA), source, False
    if size < DEFAULT_QUOTA_BYTES:
        return DEFAULT_QUOTA_BYTES, "assumed: etcd's default of 2 GiB", True
    # Past the default the quota has been raised; how far nobody says.
    return limits.largest_quota_bytes, "unknown: the most that etcd suggests", True


def _pods_of(store: str, pods: Sequence[EtcdPod]) -> Sequence[EtcdPod]:
    """kOps runs the events' etcd, the API server's second, in pods that say so."""
    events = [p for p in pods if "events" in p.name]
    main = [p for p in pods if "events" not in p.name]
    if store == "etcd-1" and events:
        return events
    return main
