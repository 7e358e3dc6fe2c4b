"""When etcd will be full, by what it was at earlier times."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_runbook import WHO_FILLS_IT
from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.facts.etcd_history import EtcdHistory
from k8sdiag.growth import DAY, Full, full
from k8sdiag.model import Finding, Remedy, Severity, Usage

MIB = 1 << 20
FAR_DAYS = 3650.0


def judge(
    usages: Iterable[Usage],
    members: Iterable[EtcdMember],
    history: EtcdHistory,
    limits: EtcdQuota,
) -> Iterator[Finding]:
    """The member that is full first; where no member was asked, the API server's sizes."""
    known = {f"etcd/{m.name}": m for m in members}
    soonest: list[tuple[float, Usage, Full]] = []
    for usage in usages:
        member = known.get(usage.subject)
        if member is not None and member.quota_bytes <= 0:
            continue  # there is no quota to reach
        names = [usage.subject, _host(member.endpoint) if member else ""]
        samples = next((history.sizes[n] for n in names if n in history.sizes), ())
        found = full(samples, usage.limit, limits.growth_seconds)
        if found is None:
            continue
        wait = found.earliest - found.now
        if wait <= min(limits.full_days * DAY, limits.growth_reach * found.over_seconds):
            soonest.append((wait, usage, found))
    if not soonest:
        return
    wait, usage, found = min(soonest, key=lambda item: (item[0], item[1].subject))
    member = known.get(usage.subject)
    told = member is not None and not member.quota_assumed
    yield Finding(
        code="will-be-full",
        severity=Severity.CRITICAL
        if told and wait <= limits.full_critical_days * DAY
        else Severity.WARNING,
        subject=usage.subject,
        message=f"at its growth of {found.per_day / MIB:,.1f} MiB a day, watched for "
        f"{_span(found.over_seconds)}, it reaches "
        f"{'its quota' if told else 'the quota that is assumed'} of "
        f"{usage.limit / MIB:,.0f} MiB {_range(found)}",
        observed=found.per_day,
        remedy=Remedy(
            summary="find what grows and stop it, or raise the quota before: k8sdiag etcd top "
            "ranks what fills it; k8sdiag diff OLD NEW tells what grew",
            commands=(WHO_FILLS_IT,),
        ),
    )


def _host(endpoint: str) -> str:
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:  # what a member advertises may be anything
        return ""


def _range(found: Full) -> str:
    near = found.latest - found.now < 3 * DAY
    # A rate next to nothing has a date that no calendar knows.
    late = found.latest - found.now > FAR_DAYS * DAY
    first, last = (
        f"{datetime.fromtimestamp(at, UTC):{'%Y-%m-%d %H:%M UTC' if near else '%Y-%m-%d'}}"
        for at in (found.earliest, found.earliest if late else found.latest)
    )
    if late:
        return f"about {first} at the earliest, or not for years"
    return (
        f"about {first} (two looks give no range)"
        if first == last
        else (f"between {first} and {last}")
    )


def _span(seconds: float) -> str:
    return f"{seconds / DAY:.1f} days" if seconds >= 2 * DAY else f"{seconds / 3600:.0f} hours"
