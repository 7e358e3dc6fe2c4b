"""Report x waivers -> the report in which findings that somebody decided to live with don't count.

Neither the clock nor the order of the waivers matters: the day is that of the look, so the same
snapshot always gives the same report.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from msgspec.structs import replace

from k8sdiag.judge import order
from k8sdiag.model import Finding, Outcome, Report, Status, Waived, Waiver


def waive(report: Report, waivers: Iterable[Waiver], *, on: datetime | None = None) -> Report:
    """The report with the waived findings set apart, and what is to be said of the waivers.

    They hold as `on` the moment given, which is that of the report's own look unless it is
    compared with a later one.
    A waiver that matches nothing is told only where its check could be judged whole.
    """
    today = (on or report.taken_at).astimezone(UTC).date()
    mine = sorted(waivers, key=_order)
    holding = [w for w in mine if today < w.expires]
    outcomes = tuple(sorted((_outcome(o, holding) for o in report.outcomes), key=order))
    judged = {o.check for o in report.outcomes}
    whole = {o.check for o in report.outcomes if o.whole}
    found = [f for o in report.outcomes for f in o.findings]
    return replace(
        report,
        outcomes=outcomes,
        expired=tuple(w for w in mine if w not in holding and check_of(w) in judged),
        unmatched=tuple(
            w for w in holding if check_of(w) in whole and not any(matches(w, f) for f in found)
        ),
    )


def matches(waiver: Waiver, finding: Finding) -> bool:
    """Whether it is about this finding; patterns are fnmatch's, and "*" stands for "/" too."""
    kind = finding.code if waiver.code else finding.code.partition("/")[0]
    return kind == waiver.what and fnmatchcase(finding.subject, waiver.subject)


def check_of(waiver: Waiver) -> str:
    return waiver.what.partition("/")[0]


def _outcome(outcome: Outcome, holding: list[Waiver]) -> Outcome:
    """Of several waivers of one finding the last to expire counts."""
    by_finding = [(f, [w for w in holding if matches(w, f)]) for f in outcome.findings]
    waived = tuple(Waived(finding=f, waiver=found[-1]) for f, found in by_finding if found)
    if not waived:
        return outcome
    findings = tuple(f for f, found in by_finding if not found)
    status = outcome.status
    if not findings:  # as if they had not been found; what was not seen stays unseen
        status = Status.PARTIAL if outcome.reason else Status.OK
    return replace(outcome, findings=findings, waived=waived, status=status)


def _order(waiver: Waiver) -> tuple[object, ...]:
    return (waiver.expires, waiver.what, waiver.subject, waiver.reason)
