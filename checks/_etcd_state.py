"""Whether the members of one etcd can work together, and whether their quotas make sense."""

from collections.abc import Iterator, Sequence

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_runbook import Etcdctl
from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.model import Finding, Remedy, Severity

GIB = 1 << 30


def judge(members: Sequence[EtcdMember], etcdctl: Etcdctl, limits: EtcdQuota) -> Iterator[Finding]:
    yield from _quotas(members, limits)
    yield from _no_leader(members, etcdctl)
    names = {m.id: m.name for m in members}
    corrupt = {a.member_id for m in members for a in m.alarms or () if a.kind == "CORRUPT"}
    for member_id in sorted(corrupt):
        yield Finding(
            code="corrupt",
            severity=Severity.CRITICAL,
            subject=f"etcd/{names.get(member_id, member_id)}",
            message="etcd found that this member's data differs from the others' and raised the "
            "CORRUPT alarm",
            remedy=Remedy(
                summary="take a snapshot of a healthy member first; then remove this member, "
                "delete its data and add it again (etcd.io: data corruption)",
            ),
        )
    for member in members:
        behind = member.raft_index - member.raft_applied_index
        if behind > limits.entries_behind and not member.learner:
            yield Finding(
                code="behind",
                severity=Severity.WARNING,
                subject=f"etcd/{member.name}",
                message=f"the member has {behind:,} committed entries still to apply; above "
                f"{limits.entries_behind:,} it refuses requests",
                observed=behind,
                limit=limits.entries_behind,
                remedy=Remedy(
                    summary="its disk or CPU is too slow: look at its node and at "
                    "etcd_disk_backend_commit_duration_seconds",
                ),
            )


def _no_leader(members: Sequence[EtcdMember], etcdctl: Etcdctl) -> Iterator[Finding]:
    without = [m.name for m in members if not m.has_leader]
    if not without:
        return
    alone = len(without) < len(members)
    yield Finding(
        code="no-leader",
        # With a leader elsewhere the cluster works on, and so do those who reach it.
        severity=Severity.WARNING if alone else Severity.CRITICAL,
        subject=f"etcd/{', '.join(sorted(without))}",
        message="the member is cut off from the leader that others see"
        if alone
        else "no member that answers knows a leader: etcd takes no write",
        remedy=Remedy(
            summary="bring back the members that are down or unreachable on the peer port (2380)",
            commands=(etcdctl.status(),),
        ),
    )


def _quotas(members: Sequence[EtcdMember], limits: EtcdQuota) -> Iterator[Finding]:
    unlimited = sorted(m.name for m in members if m.quota_bytes <= 0)
    told = {m.name: m.quota_bytes for m in members if m.quota_bytes > 0 and not m.quota_assumed}
    if unlimited:
        most = max(m.db_bytes for m in members)
        yield Finding(
            code="quota-disabled",
            severity=Severity.WARNING,
            subject=f"etcd/{', '.join(unlimited)}",
            message="the quota is switched off: only a full disk stops the database, now "
            f"{most / GIB:.1f} GiB",
            remedy=_set(limits.largest_quota_bytes),
        )
    if len(set(told.values())) > 1:
        smallest = min(told, key=lambda name: (told[name], name))
        shown = ", ".join(f"{name} {size / GIB:g} GiB" for name, size in sorted(told.items()))
        yield Finding(
            code="quotas-differ",
            severity=Severity.WARNING,
            subject=f"etcd/{smallest}",
            message=f"the members have different quotas ({shown}): the smallest stops all",
            observed=told[smallest],
            limit=max(told.values()),
            remedy=_set(max(told.values())),
        )
    largest = max(told, key=lambda name: (told[name], name), default="")
    if largest and told[largest] > limits.largest_quota_bytes:
        yield Finding(
            code="quota-too-large",
            severity=Severity.WARNING,
            subject=f"etcd/{largest}",
            message=f"the quota of {told[largest] / GIB:g} GiB is above the "
            f"{limits.largest_quota_bytes / GIB:g} GiB that etcd suggests at most: a restart or "
            "a new member takes long, and all of it wants to be in memory",
            observed=told[largest],
            limit=limits.largest_quota_bytes,
            remedy=_set(limits.largest_quota_bytes),
        )


def _set(quota_bytes: int) -> Remedy:
    return Remedy(
        summary=f"set --quota-backend-bytes={quota_bytes} on every member (kubeadm: "
        "/etc/kubernetes/manifests/etcd.yaml) and restart them one by one: it is read at the start"
    )
