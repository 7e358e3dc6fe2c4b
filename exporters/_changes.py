"""What changed since an earlier look, as the formats for people have it."""

from collections.abc import Iterator

from k8sdiag.exporters import _text
from k8sdiag.model import Changes, Finding, Moved, Report

MOST = 20  # usages; those that gained most come first
HEADERS = ("LIMIT", "SUBJECT", "WAS", "IS", "OF", "A DAY")


def title(report: Report, changes: Changes) -> str:
    """ "Since 2026-03-01 12:00:00 UTC: 2 new, 1 gone", in words."""
    other = f" (of {_text.line(changes.cluster)})" if changes.cluster != report.cluster else ""
    groups = (
        (len(changes.new), "new"),
        (len(changes.worse), "worse"),
        (len(changes.better), "better"),
        (len(changes.gone), "gone"),
        (len(changes.unseen), "not seen again"),
    )
    counts = ", ".join(f"{count} {word}" for count, word in groups if count)
    since = f"{changes.since:%Y-%m-%d %H:%M:%S %Z}".strip()
    return f"Since {since}{other}: {counts or 'no finding has changed'}"


def findings(changes: Changes) -> Iterator[tuple[str, Finding]]:
    """Each with its word, what needs attention first."""
    for word, group in (
        ("new", changes.new),
        ("worse", changes.worse),
        ("not seen again", changes.unseen),
        ("better", changes.better),
        ("gone", changes.gone),
    ):
        yield from ((word, finding) for finding in group)


def rows(changes: Changes) -> list[tuple[str, ...]]:
    """The usages that moved, as cells under HEADERS."""
    return [_row(moved) for moved in changes.moved[:MOST]]


def notes(changes: Changes) -> list[str]:
    """What the rows and findings leave out."""
    said = []
    if len(changes.moved) > MOST:
        said.append(f"{len(changes.moved) - MOST} more usages have changed")
    if changes.unjudged:
        said.append(f"Judged whole then, not now: {', '.join(map(_text.line, changes.unjudged))}")
    return said


def _row(moved: Moved) -> tuple[str, ...]:
    usage = moved.usage
    slope = "-" if moved.per_day is None else _signed(moved.per_day, usage.unit)
    return (
        _text.line(usage.limit_id),
        _text.line(usage.subject),
        _text.amount(moved.before, usage.unit),
        _text.amount(usage.used, usage.unit),
        _text.amount(usage.limit, usage.unit),
        slope,
    )


def _signed(value: float, unit: str) -> str:
    return f"{'-' if value < 0 else '+'}{_text.amount(abs(value), unit)}"
