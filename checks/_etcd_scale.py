"""Whether etcd is set up for a cluster of this many nodes."""

from collections.abc import Iterator

from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.facts.etcd import DEFAULT_QUOTA_BYTES, EtcdMembers, EtcdPods, EtcdSeenByAPIServer
from k8sdiag.model import Finding, Missing, Remedy, Severity, Unseen


def judge(
    nodes: int,
    etcd: EtcdMembers | Missing,
    pods: EtcdPods | Missing,
    seen: EtcdSeenByAPIServer | Missing,
    limits: EtcdHealth,
) -> Iterator[Finding | Unseen]:
    if isinstance(seen, EtcdSeenByAPIServer) and seen.provider:
        return  # the provider's to decide
    quotas = {m.quota_bytes for m in etcd.members} if isinstance(etcd, EtcdMembers) else set()
    if isinstance(etcd, EtcdMembers) and any(m.quota_assumed for m in etcd.members):
        quotas = set()
    if isinstance(pods, EtcdPods) and not quotas:
        quotas = {p.quota_bytes for p in pods.etcds if p.quota_bytes is not None}
    if nodes >= limits.default_quota_nodes and quotas == {DEFAULT_QUOTA_BYTES}:
        yield Finding(
            code="default-quota",
            severity=Severity.WARNING,
            subject="etcd",
            message=f"etcd has its default quota of 2 GiB in a cluster of {nodes:,} nodes",
            observed=nodes,
            limit=limits.default_quota_nodes,
            remedy=Remedy(
                summary="set --quota-backend-bytes=8589934592 on every member (kubeadm: "
                "/etc/kubernetes/manifests/etcd.yaml) and restart them one by one; the database "
                "wants to be in memory, so see that their nodes have 8 GiB for it"
            ),
        )
    if nodes < limits.events_apart_nodes:
        return
    apart = _events_apart(pods, seen)
    if apart is None:
        reason = "neither the API servers' flags nor the /metrics of one tell it"
        yield Unseen(subject="whether events have an etcd of their own", reason=reason)
    elif not apart:
        yield Finding(
            code="events-not-apart",
            severity=Severity.WARNING,
            subject="etcd",
            message=f"events share etcd with all else in a cluster of {nodes:,} nodes: a storm of "
            "them fills the quota and slows every write",
            observed=nodes,
            limit=limits.events_apart_nodes,
            remedy=Remedy(
                summary="give them an etcd of their own, and every API server the flag "
                "--etcd-servers-overrides=/events#https://HOST:2379; events stored until then "
                "are no longer shown, and expire in the old one"
            ),
        )


def _events_apart(pods: EtcdPods | Missing, seen: EtcdSeenByAPIServer | Missing) -> bool | None:
    """By the API servers' flags, else by how many etcds one says that it uses; None: unknown."""
    told = [p.events_apart for p in pods.api_servers] if isinstance(pods, EtcdPods) else []
    if told and None not in told:
        return all(told)
    if isinstance(seen, EtcdSeenByAPIServer) and all("://" not in name for name in seen.db_bytes):
        return len(seen.db_bytes) > 1
    return None
