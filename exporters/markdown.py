"""For an incident channel or a pull request: a summary, the findings, the rest folded away."""

import re
from collections.abc import Sequence

from k8sdiag.exporters import _changes, _text
from k8sdiag.forecast import nearest_limits
from k8sdiag.model import Finding, Report

# What GitHub's Markdown gives a meaning to: anywhere, an underscore only at a word's edge, and
# marks of headings and lists only where the text begins.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])|^[#+=-]")


def render(report: Report) -> str:
    """GitHub-flavored Markdown; nothing of a subject or a message is taken as markup."""
    blocks = [f"# k8sdiag: {_prose(report.cluster)}"]
    if report.lab:
        blocks.append(f"> **{_text.LAB}:** {_prose(report.lab)}")
    found = _text.findings(report)
    tally = _text.tally(f.severity for f in found) or "no findings"
    not_whole = _text.not_whole(report)
    missed = f"; **{len(not_whole)} of {len(report.outcomes)} checks not judged, or not all of it**"
    blocks.append(f"{_text.when(report)}: {tally}{missed if not_whole else ''}.")
    blocks += [_nearest(report), changes(report), *map(_finding, found)]
    blocks.append(_waived(report))
    if not_whole:
        blocks.append("## Not judged, or not all of it")
        rows = [f"- {_code(o.check)} ({o.status}): {_prose(o.reason)}" for o in not_whole]
        blocks.append("\n".join(rows))
    blocks.append(_rest(report))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _nearest(report: Report) -> str:
    rows = [
        (
            _code(near.usage.limit_id),
            _code(near.usage.subject),
            _prose(_text.amount(near.usage.used, near.usage.unit)),
            _prose(_text.amount(near.usage.limit, near.usage.unit)),
            _text.share(near),
            _prose(_text.where_it_breaks(near)),
        )
        for near in nearest_limits(report)
    ]
    return (
        _table(rows, ("nearest limit", "subject", "used", "of", "share", "breaks")) if rows else ""
    )


def changes(report: Report) -> str:
    """What changed since the baseline; "" where there is none."""
    if report.changes is None:
        return ""
    found = [
        f"- {word}: {_code(f.code)} {_code(f.subject)}"
        for word, f in _changes.findings(report.changes)
    ]
    blocks = [f"**{_prose(_changes.title(report, report.changes))}**", "\n".join(found)]
    if rows := _changes.rows(report.changes):
        escaped = [(_code(a), _code(b), *map(_prose, rest)) for a, b, *rest in rows]
        blocks.append(_table(escaped, tuple(h.lower() for h in _changes.HEADERS)))
    blocks += [_prose(note) for note in _changes.notes(report.changes)]
    return "\n\n".join(filter(None, blocks))


def _finding(finding: Finding) -> str:
    title = f"## {finding.severity.capitalize()}: {_code(finding.code)} {_code(finding.subject)}"
    blocks = [title, _prose(finding.message)]
    if remedy := finding.remedy:
        blocks.append(f"Mend: {_prose(remedy.summary)}")
        if remedy.commands:
            blocks.append(_fence([_text.typed(command) for command in remedy.commands], "sh"))
        if remedy.manifest:
            blocks.append(_fence(_text.manifest(remedy.manifest), "yaml"))
    return "\n\n".join(blocks)


def _waived(report: Report) -> str:
    rows = []
    for waived in _text.waived(report):
        finding, waiver = waived.finding, waived.waiver
        what = f"{_code(finding.code)} {_code(finding.subject)} ({finding.severity})"
        until = f"waived until {waiver.expires}: {_prose(waiver.reason)}"
        rows.append(f"- {what}: {_prose(finding.message)} {until}")
    rows += [f"- Waiver that {_prose(said)}" for said in _text.of_waivers(report)]
    return "## Waived\n\n" + "\n".join(rows) if rows else ""


def _rest(report: Report) -> str:
    checks = [
        (_code(o.check), _prose(o.title), o.status, str(len(o.findings))) for o in report.outcomes
    ]
    usages = [
        (
            _code(usage.limit_id),
            _code(usage.subject),
            _prose(_text.amount(usage.used, usage.unit)),
            _prose(_text.amount(usage.limit, usage.unit)),
            _prose(usage.source),
        )
        for outcome in report.outcomes
        for usage in outcome.usages
    ]
    return "\n\n".join(
        [
            "<details><summary>Every check and every measured limit</summary>",
            _table(checks, ("check", "what it finds", "status", "findings")),
            _table(usages, ("limit", "subject", "used", "of", "from")) if usages else "",
            f"k8sdiag {report.version}; cost: {_text.cost(report.cost)}.",
            "</details>",
        ]
    )


def _prose(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", _text.line(text).strip())


def _code(text: str) -> str:
    """A code span; text that could break out of one, or of a table's cell, is escaped prose."""
    text = _text.line(text).strip()
    return _prose(text) if not text or set(text) & set("`|\\") else f"`{text}`"


def _fence(rows: list[str], language: str) -> str:
    """A fence longer than any row of backticks within, so that nothing closes it early."""
    longest = max((len(run) for run in re.findall("`+", "\n".join(rows))), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([ticks + language, *rows, ticks])


def _table(rows: Sequence[tuple[str, ...]], headers: tuple[str, ...]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
