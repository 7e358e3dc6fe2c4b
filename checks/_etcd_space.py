"""How full one etcd is, by the member that is nearest to its own quota."""

from collections.abc import Iterator, Sequence

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_runbook import WHO_FILLS_IT, Etcdctl
from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.model import Finding, Remedy, Severity

MIB = 1 << 20


def judge(
    members: Sequence[EtcdMember], etcdctl: Etcdctl, limits: EtcdQuota, *, whole: bool
) -> Iterator[Finding]:
    """The alarm, or how near it is, by the member that is nearest to it."""
    alarmed = {a.member_id for m in members for a in m.alarms or () if a.kind == "NOSPACE"}
    # A database above an assumed quota shows that the true one is larger.
    limited = [
        m
        for m in members
        if m.quota_bytes > 0 and not (m.quota_assumed and m.db_bytes >= m.quota_bytes)
    ]
    worst = min(limited, key=_headroom, default=None)
    near = [m for m in limited if m.db_bytes >= limits.warning * m.quota_bytes]
    loose = [m for m in limited if _fragmented(m, limits)]
    if alarmed:
        names = {m.id: m.name for m in members}
        who = ", ".join(sorted(names.get(i, i) for i in alarmed))
        known = whole and not any(m.quota_assumed for m in members)
        if known and all(m.db_bytes < limits.freed * m.quota_bytes for m in limited):
            yield _stale_alarm(who, worst, etcdctl)
        else:
            yield _nospace(who, worst, etcdctl, limits)
    elif near:
        yield _near(min(near, key=_headroom), etcdctl, limits)
    elif loose:
        yield _worth_a_defrag(max(loose, key=_free), etcdctl)


def _headroom(member: EtcdMember) -> int:
    """Bytes until its NOSPACE. All members store the same, so the smallest is used up first."""
    return member.quota_bytes - member.db_bytes


def _free(member: EtcdMember) -> int:
    """Bytes that a defrag gives back."""
    return member.db_bytes - member.in_use_bytes


def _fragmented(member: EtcdMember, limits: EtcdQuota) -> bool:
    return (
        member.db_bytes >= limits.fragmented_from * member.quota_bytes
        and member.db_bytes >= limits.fragmented_bytes
        and member.in_use_bytes < limits.fragmented * member.db_bytes
    )


def _nospace(who: str, worst: EtcdMember | None, etcdctl: Etcdctl, limits: EtcdQuota) -> Finding:
    more = ""
    if worst and worst.in_use_bytes >= limits.warning * worst.quota_bytes:
        more = f", {worst.in_use_bytes / worst.quota_bytes:.0%} in use"
    return Finding(
        code="nospace",
        severity=Severity.CRITICAL,
        subject=f"etcd/{who}",
        message=f"etcd refuses every write: NOSPACE{_size(worst)}{more}",
        observed=worst.db_bytes if worst else None,
        limit=worst.quota_bytes if worst else None,
        remedy=Remedy(
            summary="find what fills it, stop its writer and delete it (deletes still work); "
            "then compact, defragment every member, and only then disarm the alarm. "
            + _raise(worst, limits),
            commands=(
                WHO_FILLS_IT,
                *etcdctl.compact(),
                *etcdctl.defrag(),
                etcdctl.status(),
                *etcdctl.disarm(),
            ),
        ),
    )


def _stale_alarm(who: str, worst: EtcdMember | None, etcdctl: Etcdctl) -> Finding:
    return Finding(
        code="alarm-left-armed",
        severity=Severity.CRITICAL,
        subject=f"etcd/{who}",
        message="etcd refuses every write though space is free: the NOSPACE alarm is still "
        f"armed{_size(worst)}",
        remedy=Remedy(summary="disarm the alarm: nothing else does", commands=etcdctl.disarm()),
    )


def _near(worst: EtcdMember, etcdctl: Etcdctl, limits: EtcdQuota) -> Finding:
    free = _free(worst) // MIB
    severity = Severity.WARNING
    if worst.db_bytes >= limits.critical * worst.quota_bytes and not worst.quota_assumed:
        severity = Severity.CRITICAL
    if worst.in_use_bytes >= limits.warning * worst.quota_bytes:
        code, mend = "outgrown", f"a defrag would free only {free:,} MiB of it"
        remedy = Remedy(
            summary="stop what fills it and delete it. " + _raise(worst, limits),
            commands=(WHO_FILLS_IT,),
        )
    else:
        code, mend = "near-quota", f"a defrag frees {free:,} MiB of it"
        remedy = Remedy(
            summary="defragment one member at a time, the leader last; each answers nothing "
            "meanwhile, some 10 ms a MiB",
            commands=(*etcdctl.defrag(), etcdctl.status()),
        )
    return Finding(
        code=code,
        severity=severity,
        subject=f"etcd/{worst.name}",
        message=f"etcd will refuse every write at its quota{_size(worst)}; {mend}",
        observed=worst.db_bytes,
        limit=worst.quota_bytes,
        remedy=remedy,
    )


def _worth_a_defrag(member: EtcdMember, etcdctl: Etcdctl) -> Finding:
    return Finding(
        code="fragmented",
        severity=Severity.WARNING,
        subject=f"etcd/{member.name}",
        message=f"most of the database is free pages{_size(member)}; a defrag frees "
        f"{_free(member) // MIB:,} MiB",
        observed=member.in_use_bytes,
        limit=member.db_bytes,
        remedy=Remedy(
            summary="defragment in a quiet hour, one member at a time, the leader last",
            commands=(*etcdctl.defrag(), etcdctl.status()),
        ),
    )


def _size(worst: EtcdMember | None) -> str:
    """'; etcd-0 holds 1,843.2 of 2,048 MiB (90%)', or nothing when there is no quota."""
    if worst is None:
        return ""
    used, quota = worst.db_bytes / MIB, worst.quota_bytes / MIB
    share = worst.db_bytes / worst.quota_bytes
    assumed = ", if its quota is etcd's default" if worst.quota_assumed else ""
    return f"; {worst.name} holds {used:,.1f} of {quota:,.0f} MiB ({share:.0%}{assumed})"


def _raise(worst: EtcdMember | None, limits: EtcdQuota) -> str:
    """How to raise the quota, as far as it may be raised."""
    most = limits.largest_quota_bytes
    if worst is None or worst.quota_bytes >= most:
        return (
            f"A quota above {most >> 30} GiB is not advised: give the events an etcd of their own "
            "(--etcd-servers-overrides of the API server)"
        )
    larger = min(2 * worst.quota_bytes, most)
    return (
        f"Or raise the quota: --quota-backend-bytes={larger} on every member (kubeadm: "
        "/etc/kubernetes/manifests/etcd.yaml), restarted one by one, as it is read at the start"
    )
