"""The logs of etcd or kube-apiserver tell of a failure of etcd.

What "look into the logs of the API server" would find: texts that these programs log for known
failures, how often, and when the last one came. It names the cause after the fact too, as when
etcd was slow an hour ago and all looks well now.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from k8sdiag.facts.control_plane_logs import ControlPlaneLogs, Match, PodLog
from k8sdiag.failuretexts import API_SERVER, ETCD
from k8sdiag.model import Finding, Limits, Remedy, Severity, Unseen

_Seconds = Annotated[int, Meta(ge=0, le=86400)]  # older lines are not read


class ControlPlaneLogLimits(Limits, frozen=True, kw_only=True):
    window_seconds: _Seconds = 3600  # older lines are history; our judgment
    now_seconds: _Seconds = (
        600  # what last came earlier may be over, and is not critical; our judgment
    )
    slow_lines: int = 20  # a few slow requests an hour are normal for large lists; our judgment
    probe_lines: int = 6  # a minute of kubelet's probes, every 10 s: a restart loses fewer
    lost_leaders: int = 2  # one change of leader is what a rolling restart makes


class Meaning(Struct, frozen=True, kw_only=True):
    component: str
    text: str  # a name of failuretexts.TEXTS
    code: str
    severity: Severity = Severity.WARNING
    says: str
    mend: str
    at_least: str = ""  # the limit's field: fewer lines say nothing


SPACE = (
    "find what fills etcd (k8sdiag etcd top), delete it, compact, defragment each member, and "
    "only then disarm: k8sdiag explain etcd-quota has each command"
)
DISK = (
    "give etcd a disk of its own whose fsync takes less than 10 ms (p99 of "
    "etcd_disk_wal_fsync_duration_seconds), and look what else writes there"
)
MEANINGS = (
    Meaning(
        component=ETCD,
        text="nospace",
        code="nospace-alarm",
        severity=Severity.CRITICAL,
        says="etcd is past its quota and refuses writes",
        mend=SPACE,
    ),
    Meaning(
        component=API_SERVER,
        text="nospace",
        code="database-space-exceeded",
        severity=Severity.CRITICAL,
        says="etcd refused writes of the API server: database space exceeded",
        mend=SPACE,
    ),
    Meaning(
        component=ETCD,
        text="corrupt",
        code="corrupt",
        severity=Severity.CRITICAL,
        says="a member's data differs from the others'",
        mend="take a snapshot of a healthy member first; then remove the member that differs, "
        "delete its data and add it again",
    ),
    Meaning(
        component=ETCD,
        text="leader-lost",
        code="leader-lost",
        says="members lost their leader; writes wait until another is elected",
        mend="look for restarts, full CPUs, slow disks and a lossy network at the times given",
        at_least="lost_leaders",
    ),
    Meaning(
        component=ETCD,
        text="no-leader",
        code="no-leader",
        says="a member answered its probes that it knows no leader",
        mend="bring back the members that are down or unreachable on the peer port (2380)",
        at_least="probe_lines",
    ),
    Meaning(
        component=ETCD,
        text="slow-disk",
        code="slow-disk",
        says="the disk took more than a second for an fsync, and every write waited",
        mend=DISK,
    ),
    Meaning(
        component=ETCD,
        text="late-heartbeat",
        code="late-heartbeat",
        says="the leader was too late with its heartbeats: too little CPU, or a slow disk",
        mend=DISK,
    ),
    Meaning(
        component=ETCD,
        text="slow-apply",
        code="slow-requests",
        says="requests took etcd longer than 100 ms",
        mend="look for clients that list everything (apiserver_storage_list_fetched_objects_total) "
        "and for a slow disk (etcd_disk_backend_commit_duration_seconds)",
        at_least="slow_lines",
    ),
    Meaning(
        component=ETCD,
        text="clock-drift",
        code="clock-drift",
        says="the clocks of members differ by more than a second",
        mend="mend the time synchronization (chronyc tracking) of the control plane's nodes",
    ),
    Meaning(
        component=API_SERVER,
        text="etcd-timeout",
        code="etcd-timeout",
        says="etcd did not answer the API server in time",
        mend="look at etcd's disk, CPU and leader at the times given",
    ),
    Meaning(
        component=API_SERVER,
        text="etcd-leader",
        code="etcd-without-leader",
        says="requests failed because etcd had no leader or changed it",
        mend="look at etcd's members at the times given",
        at_least="slow_lines",
    ),
    Meaning(
        component=API_SERVER,
        text="etcd-overloaded",
        code="etcd-overloaded",
        says="etcd was too far behind to take requests",
        mend="its disk or CPU is too slow for the load: look at "
        "etcd_disk_backend_commit_duration_seconds",
    ),
    Meaning(
        component=API_SERVER,
        text="too-large",
        code="object-too-large",
        says="an object was larger than etcd takes (1.5 MiB unless set)",
        mend="find the writer of the object: it grows without an end, as a status or a list does",
    ),
)


def check(logs: ControlPlaneLogs, limits: ControlPlaneLogLimits) -> Iterator[Finding | Unseen]:
    silent = sorted(log.pod for log in logs.logs if not log.lines)
    if silent or not logs.logs:
        subject = f"the logs of {', '.join(silent) or 'the control plane'}"
        yield Unseen(subject=subject, reason="no line of the last day is in them")
    newest = logs.read_at - timedelta(seconds=limits.window_seconds)
    for meaning in MEANINGS:
        told = [
            (log, match)
            for log in logs.logs
            for match in log.matches
            if log.component == meaning.component
            and match.name == meaning.text
            and match.last >= newest
        ]
        lines = sum(match.lines for _, match in told)
        if not told or (meaning.at_least and lines < getattr(limits, meaning.at_least)):
            continue
        lasts = max(match.last for _, match in told)
        now = lasts >= logs.read_at - timedelta(seconds=limits.now_seconds)
        yield Finding(
            code=meaning.code,
            severity=meaning.severity if now else Severity.WARNING,
            subject=meaning.component,
            message=f"{meaning.says}: {_when(told)}",
            observed=lines,
            remedy=Remedy(summary=meaning.mend),
        )


def _when(told: list[tuple[PodLog, Match]]) -> str:
    """ "12 lines since 11:02:59 UTC, the last 12:03:05 UTC in kube-system/etcd-a"; newest pod."""
    log, newest = max(told, key=lambda pair: (pair[1].last, pair[0].pod))
    lines = sum(match.lines for _, match in told)
    first = min(match.first for _, match in told)
    clock = "%H:%M:%S" if first.date() == newest.last.date() else "%Y-%m-%d %H:%M:%S"
    others = f" and {len(told) - 1} more" if len(told) > 1 else ""
    count = f"{lines:,} lines since {first:{clock}}" if lines > 1 else "1 line"
    return f"{count}, the last at {newest.last:{clock}} UTC in {log.pod}{others}"
