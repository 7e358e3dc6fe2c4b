"""What the formats for people share: numbers in words, and text that no terminal obeys."""

import math
from collections.abc import Iterable

from k8sdiag.forecast import Nearest
from k8sdiag.model import Cost, Finding, Outcome, Report, Waived, Waiver

LAB = "LAB RECORDING, not your cluster"


def line(text: str) -> str:
    """The text on one line; what does not print is written out, as \\x1b.

    Messages of servers can hold escape sequences, line breaks and marks that turn the writing
    direction: none of them may reach a terminal or break out of a table.
    """
    return "".join(
        c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode()
        for c in text
    )


def typed(command: str) -> str:
    """A command as it is to be typed: a line break in it is shown, not obeyed by the shell."""
    return line(command.replace("\n", "\\n").replace("\r", "\\r"))


def manifest(text: str) -> list[str]:
    """The lines of a manifest, indentation kept."""
    return [line(row).rstrip() for row in text.strip("\n").split("\n")]


def amount(value: float, unit: str) -> str:
    """A number with its unit: "1.86 GiB", "1,240 entries", "2h05m"."""
    if unit == "bytes":
        for name in ("bytes", "KiB", "MiB", "GiB"):
            if abs(value) < 1024:
                return f"{_short(value)} {name}"
            value /= 1024
        return f"{_short(value)} TiB"
    if unit == "seconds" and 120 <= value < float("inf"):
        minutes = round(value / 60)
        return f"{minutes // 60}h{minutes % 60:02}m" if minutes >= 60 else f"{minutes} minutes"
    return f"{_short(value)} {line(unit)}"


def _short(value: float) -> str:
    """Three digits that count; all of them before the point."""
    digits = 0 if abs(value) >= 100 or value % 1 == 0 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def share(nearest: Nearest) -> str:
    """Rounded down: 100% is the limit reached, not nearly so."""
    return f"{math.floor(nearest.ratio * 100)}%"


def where_it_breaks(nearest: Nearest) -> str:
    """ "at 1,240 nodes", "now", or "-" where nothing is known to grow towards the limit."""
    if nearest.broken:
        return "now"
    if nearest.breaks_at is None:
        return "-"
    # Under 100, as pods per node are, a decimal counts; there are no half nodes above.
    value = f"{nearest.breaks_at:,.{0 if nearest.breaks_at >= 100 else 1}f}".removesuffix(".0")
    return f"at {value} {line(nearest.usage.driver.replace('_', ' '))}"


def findings(report: Report) -> list[Finding]:
    """All of them, worst first; equals in the order of the report."""
    found = [finding for outcome in report.outcomes for finding in outcome.findings]
    return sorted(found, key=lambda f: -f.severity.rank)


def not_whole(report: Report) -> list[Outcome]:
    """The checks that could not judge all they were asked for."""
    return [outcome for outcome in report.outcomes if not outcome.whole]


def waived(report: Report) -> list[Waived]:
    """All of them, worst first."""
    found = [w for outcome in report.outcomes for w in outcome.waived]
    return sorted(
        found, key=lambda w: (-w.finding.severity.rank, w.finding.code, w.finding.subject)
    )


def of_waivers(report: Report) -> list[str]:
    """What is to be said of waivers that have expired or stand for nothing."""
    return [
        *(
            f"expired on {w.expires}, what it is about counts again: {_waiver(w)}"
            for w in report.expired
        ),
        *(f"matches no finding, take it out: {_waiver(w)}" for w in report.unmatched),
    ]


def _waiver(waiver: Waiver) -> str:
    return line(f"{waiver.what} on {waiver.subject} ({waiver.reason})")


def when(report: Report) -> str:
    return report.taken_at.strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def tally(words: Iterable[str]) -> str:
    """ "2 critical, 1 warning" of every word; the order of their first coming is kept."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def cost(spent: Cost) -> str:
    parts = [
        amount(spent.api_requests, "requests" if spent.api_requests != 1 else "request"),
        f"{amount(spent.api_bytes, 'bytes')} read",
        f"{spent.seconds:,.1f} seconds",
    ]
    if spent.peak_rss_bytes:
        parts.append(f"{amount(spent.peak_rss_bytes, 'bytes')} of memory here")
    return ", ".join(parts)
