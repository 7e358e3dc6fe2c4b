"""Checks x Snapshot -> Report. Knows nothing of clusters, files or formats."""

import logging
from collections.abc import Iterable, Iterator
from math import isfinite

from msgspec.structs import replace

from k8sdiag.model import (
    Check,
    Fact,
    Finding,
    Metric,
    Missing,
    Outcome,
    Report,
    Said,
    Snapshot,
    Status,
    Unseen,
    Usage,
)
from k8sdiag.version import DOCS, VERSION

log = logging.getLogger(__name__)

MOST_ALIKE = 50  # findings of one kind in a report: more of them nobody reads
OTHERS = "others"  # the subject of the finding that stands for the rest


def judge(checks: Iterable[Check], snapshot: Snapshot) -> Report:
    return Report(
        cluster=snapshot.cluster,
        taken_at=snapshot.taken_at,
        version=VERSION,
        outcomes=tuple(sorted((_outcome(c, snapshot) for c in checks), key=order)),
        scale=snapshot.scale(),
        cost=snapshot.cost,
        lab=snapshot.lab,
    )


def order(outcome: Outcome) -> tuple[int, str]:
    """Worst first, then by name: the same snapshot always gives the same report."""
    worst = max((f.severity.rank + 1 for f in outcome.findings), default=0)
    return (-worst, outcome.check)


def _outcome(check: Check, snapshot: Snapshot) -> Outcome:
    if check.run is None:
        return Outcome(check=check.id, title=check.title, status=Status.ERROR, reason=check.broken)
    given: dict[str, Fact | Missing] = {}
    for name, fact in check.needs.items():
        nobody = Missing(reason="no source gives it")
        key = fact.__name__
        # Not `or`: a fact of nothing, an empty cluster's pods, is a fact all the same.
        given[name] = (
            snapshot.facts[key] if key in snapshot.facts else snapshot.missing.get(key, nobody)
        )
    seconds = sum(snapshot.seconds.get(fact.__name__, 0.0) for fact in check.needs.values())

    def outcome(status: Status, reason: str, said: Iterable[Said] = ()) -> Outcome:
        said = tuple(said)
        found = sorted((_complete(x, check) for x in said if isinstance(x, Finding)), key=_worst)
        return Outcome(
            check=check.id,
            title=check.title,
            status=status,
            reason=reason,
            duration_seconds=round(seconds, 3),
            findings=tuple(sorted(_folded(found), key=_worst)),
            usages=tuple(sorted((x for x in said if isinstance(x, Usage)), key=_nearest)),
            metrics=tuple(sorted((x for x in said if isinstance(x, Metric)), key=_series)),
        )

    absent = {name: fact for name, fact in given.items() if isinstance(fact, Missing)}
    needed = absent.keys() - check.optional
    if needed or (absent and len(absent) == len(given)):
        # Of facts that any would do for, those that were looked for say why there is none.
        names = [name for name in absent if name in (needed or absent)]
        if not needed:
            names = [name for name in names if absent[name].asked] or names
        # The same reason may stand for several facts: said once.
        parts = (part for n in names for part in absent[n].reason.split("; "))
        return outcome(Status.SKIPPED, "; ".join(dict.fromkeys(parts)))
    limits = {} if check.limits is None else {"limits": check.limits}
    gaps = [fact.gaps for fact in given.values() if isinstance(fact, Fact)]
    try:
        said = [_measured(x) for x in check.run(**given, **limits)]
        unseen = [f"{who}: {why}" for of_fact in gaps for who, why in of_fact.items()]
        unseen += [f"{x.subject}: {x.reason}" for x in said if isinstance(x, Unseen)]
        reason = _sum_up(unseen)
        if any(isinstance(x, Finding) for x in said):
            return outcome(Status.FINDINGS, reason, said)
        if said and all(isinstance(x, Unseen) for x in said):
            return outcome(Status.SKIPPED, reason)  # nothing was judged, whatever facts were there
        return outcome(Status.PARTIAL if unseen else Status.OK, reason, said)
    except Exception as error:
        log.debug("check %s raised", check.id, exc_info=True)
        return outcome(Status.ERROR, f"a bug of this check: it raised {error!r}")


def _measured(said: Said) -> Said:
    """A usage that is no number is not in order, and no number was seen: say so."""
    if isinstance(said, Usage) and not all(map(isfinite, (said.used, said.limit, said.fixed))):
        told = f"it reads as {said.used:g} of {said.limit:g} ({said.source})"
        return Unseen(subject=f"{said.limit_id} of {said.subject}", reason=told)
    return said


def _sum_up(unseen: list[str], most: int = 3) -> str:
    """One line of what was not seen; hundreds of nodes must not fill the screen."""
    more = f"; and {len(unseen) - most} more" if len(unseen) > most else ""
    return "; ".join(unseen[:most]) + more


def _nearest(usage: Usage) -> tuple[float, str, str]:
    return (-usage.ratio, usage.limit_id, usage.subject)


def _worst(finding: Finding) -> tuple[int, str, str, str]:
    return (-finding.severity.rank, finding.code, finding.subject, finding.message)


def _folded(found: list[Finding]) -> Iterator[Finding]:
    """Of one kind the worst, and one for all others: checks group, but names never end."""
    kinds: dict[str, list[Finding]] = {}
    for finding in found:
        kinds.setdefault(finding.code, []).append(finding)
    for alike in kinds.values():
        yield from alike[:MOST_ALIKE]
        if others := alike[MOST_ALIKE:]:
            first = others[0]
            message = f"{len(others):,} more of this kind, as {first.subject}: {first.message}"
            yield replace(first, subject=OTHERS, message=message)


def _series(metric: Metric) -> tuple[str, str]:
    return metric.name, str(sorted(metric.labels.items()))


def _complete(finding: Finding, check: Check) -> Finding:
    return replace(finding, code=f"{check.id}/{finding.code}", docs=f"{DOCS}/checks/{check.id}.md")
