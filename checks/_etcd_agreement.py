"""Whether the members of one etcd hold the same and run the same."""

from collections.abc import Iterator, Sequence

from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks._etcd_runbook import Etcdctl
from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.model import Finding, Remedy, Severity

MIB = 1 << 20


def judge(members: Sequence[EtcdMember], etcdctl: Etcdctl, limits: EtcdHealth) -> Iterator[Finding]:
    versions = {m.name: m.version for m in members if m.version}
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        yield Finding(
            code="versions-differ",
            severity=Severity.WARNING,
            subject="etcd",
            message=f"the members run different versions: {shown}",
            remedy=Remedy(
                summary="finish the upgrade: mixed versions are for the time that it takes; "
                "the oldest decides what all may do",
                commands=(etcdctl.status(),),
            ),
        )
    voting = [m for m in members if not m.learner and not m.defragmenting]
    most = max(voting, key=lambda m: (m.in_use_bytes, m.name), default=None)
    least = min(voting, key=lambda m: (m.in_use_bytes, m.name), default=None)
    if most is None or least is None:
        return
    spread = most.in_use_bytes - least.in_use_bytes
    if spread > limits.spread_bytes and spread > limits.in_use_spread * most.in_use_bytes:
        yield Finding(
            code="members-differ",
            severity=Severity.WARNING,
            subject=f"etcd/{least.name}",
            message=f"{least.name} has {least.in_use_bytes // MIB:,} MiB in use and {most.name} "
            f"{most.in_use_bytes // MIB:,}: all members should store the same",
            observed=least.in_use_bytes,
            limit=most.in_use_bytes,
            remedy=Remedy(
                summary="see whether one lags (RAFT APPLIED INDEX), then compare what they hold "
                "in a quiet hour: the hash reads every key of every member",
                commands=(etcdctl.status(), etcdctl.hash()),
            ),
        )
