"""How fast each member of etcd was within a window, how often it lost its leader, its clock."""

from collections.abc import Iterator, Sequence
from statistics import median

from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.facts.etcd import Buckets, EtcdMembers, EtcdPerformance, MemberPerformance
from k8sdiag.histogram import above, quantile
from k8sdiag.model import Finding, Metric, Missing, Remedy, Said, Severity, Unseen

P99 = 0.99
LEADER_WINDOW_SECONDS = 900.0  # what the limit on leader changes is for
FEW = 3  # members, from which on they outvote this machine's clock
RESOLUTION_SECONDS = 1.0  # of the Date header, by which clocks are compared


def judge(members: Sequence[MemberPerformance], limits: EtcdHealth) -> Iterator[Said]:
    for member in members:
        yield from _numbers(member)
        yield from _disk(member, limits)
    yield from _leader(members, limits)
    yield from _clocks(members, limits)


def unwatched(performance: EtcdPerformance, etcd: EtcdMembers | Missing) -> Iterator[Unseen]:
    """Members whose speed nobody told; those that the fact's gaps name are told there."""
    for member in performance.members:
        if not member.fsyncs:
            reason = "its /metrics counts no fsync of the log, or it was started anew meanwhile"
            yield Unseen(subject=f"speed of etcd/{member.name}", reason=reason)
    count = len(etcd.members) if isinstance(etcd, EtcdMembers) else 0
    dark = count - len(performance.members) - len(performance.gaps)
    if dark > 0:
        reason = f"{performance.provenance} tells nothing of them"
        yield Unseen(subject=f"speed of {dark} of {count} members of etcd", reason=reason)


def _numbers(member: MemberPerformance) -> Iterator[Metric]:
    for name, help_, buckets in (
        ("etcd_wal_fsync_p99_seconds", "99th percentile of the log's fsyncs.", member.fsyncs),
        ("etcd_backend_commit_p99_seconds", "The same of backend commits.", member.commits),
    ):
        p99 = quantile(P99, buckets)
        if p99 is not None:
            yield Metric(name=name, help=help_, value=p99, labels={"endpoint": member.endpoint})


def _disk(member: MemberPerformance, limits: EtcdHealth) -> Iterator[Finding]:
    fsync = _slow(member.fsyncs, limits.fsync_seconds, limits)
    commit = _slow(member.commits, limits.commit_seconds, limits)
    if fsync is None and commit is None:
        return
    parts = [f"the log's fsyncs take {fsync * 1000:,.0f} ms"] if fsync is not None else []
    parts += [f"backend commits take {commit * 1000:,.0f} ms"] if commit is not None else []
    critical = fsync is not None and fsync > limits.fsync_critical_seconds
    yield Finding(
        code="slow-disk",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        subject=f"etcd/{member.name}",
        message=f"{' and '.join(parts)} (p99 of the last {member.window_seconds:,.0f} s): "
        "each write waits for the disks of a majority",
        observed=fsync if fsync is not None else commit,
        limit=limits.fsync_seconds if fsync is not None else limits.commit_seconds,
        remedy=Remedy(
            summary="find what else writes to the disk of etcd's data on that node, and give etcd "
            "a fast one of its own; the second command puts etcd first meanwhile, until it is "
            "restarted",
            commands=("iostat -x 5 3", "ionice -c2 -n0 -p $(pgrep -x etcd)"),
        ),
    )


def _slow(buckets: Buckets, limit: float, limits: EtcdHealth) -> float | None:
    """The p99 if it is above the limit, and not by a hiccup."""
    p99 = quantile(P99, buckets)
    if p99 is None or p99 <= limit or above(limit, buckets) < limits.slow_at_least:
        return None
    return p99


def _leader(members: Sequence[MemberPerformance], limits: EtcdHealth) -> Iterator[Finding]:
    """By the member that saw most: every one counts the same changes."""
    seen = [m for m in members if m.leader_changes is not None and m.leader_seconds]
    worst = max(seen, key=lambda m: (m.leader_changes or 0.0, m.name), default=None)
    if worst is None or worst.leader_changes is None:
        return
    allowed = limits.leader_changes * min(1.0, worst.leader_seconds / LEADER_WINDOW_SECONDS)
    if worst.leader_changes < max(1.0, allowed):
        return
    yield Finding(
        code="leader-changes",
        severity=Severity.WARNING,
        subject="etcd",
        message=f"the leader changed {worst.leader_changes:.0f} times within "
        f"{worst.leader_seconds:,.0f} s: writes stop at each election",
        observed=worst.leader_changes,
        limit=max(1.0, allowed),
        remedy=Remedy(
            summary="look for a slow disk (slow-disk), a starved CPU or a lossy network between "
            "the members; only then raise --heartbeat-interval and --election-timeout"
        ),
    )


def _clocks(members: Sequence[MemberPerformance], limits: EtcdHealth) -> Iterator[Finding]:
    told = [(m, m.clock_ahead_seconds) for m in members if m.clock_ahead_seconds is not None]
    reference, than, slack = 0.0, "this machine's", 0.0
    if len(told) >= FEW:
        reference = median((least + most) / 2 for _, (least, most) in told)
        than, slack = "most members'", RESOLUTION_SECONDS
    for member, (least, most) in told:
        early, late = least - reference, most - reference
        bound = limits.clock_seconds + slack
        if early <= bound and late >= -bound:
            continue
        off = early if early > bound else -late
        yield Finding(
            code="clock-off",
            severity=Severity.WARNING,
            subject=f"etcd/{member.name}",
            message=f"the member's clock is {off:,.0f} s or more "
            f"{'ahead of' if early > bound else 'behind'} {than}",
            observed=off,
            limit=limits.clock_seconds,
            remedy=Remedy(
                summary="see on that node whether its time is synchronized, and on this machine "
                "too if every member is said to be off; certificates and leases go by it",
                commands=("timedatectl status", "chronyc tracking"),
            ),
        )
