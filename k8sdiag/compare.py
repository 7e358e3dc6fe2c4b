"""Two reports -> what changed between them. The same input always gives the same output.

A finding is the same when its code and its subject are: one on a subject that was renamed is
gone under the old name and new under the new one, for nobody can tell it from another's.
"""

import math
from collections.abc import Iterable

from k8sdiag.judge import OTHERS
from k8sdiag.model import Changes, ConfigError, Finding, Moved, Report, Usage

LEAST_SECONDS = 3600.0  # in less, a slope a day says more about the noise than about the growth
DAY = 86400.0

_Key = tuple[str, str]


def compare(old: Report, new: Report) -> Changes:
    """What is new, worse, better and gone. Raises ConfigError when `old` is the later look."""
    seconds = (new.taken_at - old.taken_at).total_seconds()
    if seconds < 0:
        raise ConfigError(
            f"the baseline was taken at {old.taken_at:%Y-%m-%d %H:%M:%S %Z}, after what it is "
            "compared with: swap the two"
        )
    then, now = _findings(old), _findings(new)
    both = [(then[key], now[key]) for key in sorted(then.keys() & now.keys())]
    lost = [then[key] for key in sorted(then.keys() - now.keys())]
    # Only a check that saw everything can say that something is no longer there.
    whole = {o.check for o in new.outcomes if o.whole}
    folded = {f.code for f in now.values() if f.subject == OTHERS}  # it may be among those
    gone = [f for f in lost if _check(f) in whole and f.code not in folded]
    return Changes(
        cluster=old.cluster,
        since=old.taken_at,
        new=_worst_first(now[key] for key in now.keys() - then.keys()),
        worse=_worst_first(n for t, n in both if n.severity.rank > t.severity.rank),
        better=_worst_first(n for t, n in both if n.severity.rank < t.severity.rank),
        gone=_worst_first(gone),
        unseen=_worst_first(f for f in lost if f not in gone),
        unjudged=tuple(sorted({o.check for o in old.outcomes if o.whole} - whole)),
        moved=_moved(_usages(old), _usages(new), seconds),
    )


def _findings(report: Report) -> dict[_Key, Finding]:
    """By code and subject; of several with the same, the worst."""
    found = (f for outcome in report.outcomes for f in outcome.findings)
    ordered = sorted(found, key=lambda f: (f.severity.rank, f.message))
    return {(f.code, f.subject): f for f in ordered}


def _usages(report: Report) -> dict[_Key, Usage]:
    found = (usage for outcome in report.outcomes for usage in outcome.usages)
    ordered = sorted(found, key=lambda u: (u.ratio, u.source))
    return {(u.limit_id, u.subject): u for u in ordered}


def _moved(then: dict[_Key, Usage], now: dict[_Key, Usage], seconds: float) -> tuple[Moved, ...]:
    """Those that both measured and that differ, by how much of the limit was gained."""
    moved = [
        Moved(
            usage=now[key],
            before=then[key].used,
            per_day=(now[key].used - then[key].used) / seconds * DAY
            if seconds >= LEAST_SECONDS
            else None,
        )
        for key in now.keys() & then.keys()
        if not math.isclose(now[key].used, then[key].used, rel_tol=1e-9)  # sums of the same parts
    ]

    def order(m: Moved) -> tuple[float, str, str]:
        limit = m.usage.limit or 1.0
        return (m.before - m.usage.used) / limit, m.usage.limit_id, m.usage.subject

    return tuple(sorted(moved, key=order))


def _worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: (-f.severity.rank, f.code, f.subject)))


def _check(finding: Finding) -> str:
    return finding.code.partition("/")[0]
