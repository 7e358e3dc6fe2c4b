"""For a terminal: the nearest limits on top, then what was found, worst first."""

import textwrap
from collections.abc import Sequence

from k8sdiag.exporters import _changes, _text
from k8sdiag.forecast import nearest_limits
from k8sdiag.model import Finding, Remedy, Report

ASIDE = "  "
TYPE = " " * 6  # before what can be copied
STATES = ("findings", "error", "partial", "skipped", "ok")  # as the report's head counts them
NEAREST = 10  # limits shown: the top of the report is for what breaks next


def render(report: Report, *, width: int | None = None) -> str:
    """Plain text. Sentences are wrapped at `width` columns, if given; commands never are."""
    blocks = [_head(report), _nearest(report), changes(report), _findings(report, width)]
    blocks += [_waived(report, width), _not_whole(report, width), _cost(report)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(report: Report) -> str:
    ended = sorted((o.status for o in report.outcomes), key=STATES.index)
    states = _text.tally("with findings" if s == "findings" else s for s in ended)
    rows = [
        f"Cluster:  {_text.line(report.cluster)}",
        f"Seen:     {_text.when(report)}",
        f"Checks:   {states or 'none'}",
    ]
    if report.lab:
        rows.insert(0, f"*** {_text.LAB}: {_text.line(report.lab)} ***")
    return "\n".join(rows)


def _nearest(report: Report) -> str:
    limits = nearest_limits(report)
    rows = [
        (
            _text.line(near.usage.limit_id),
            _text.line(near.usage.subject),
            _text.amount(near.usage.used, near.usage.unit),
            _text.amount(near.usage.limit, near.usage.unit),
            _text.share(near),
            _text.where_it_breaks(near),
        )
        for near in limits
    ]
    if not rows:
        return "No limit could be measured."
    headers = ("NEAREST LIMIT", "SUBJECT", "USED", "OF", "SHARE", "BREAKS")
    table = _table(rows[:NEAREST], headers)
    if rest := limits[NEAREST:]:
        table += f"\n{len(rest)} more, none above {_text.share(rest[0])}: see -o json"
    return table


def changes(report: Report) -> str:
    """What changed since the baseline; "" where there is none."""
    if report.changes is None:
        return ""
    found = [
        f"{word.upper()}  {_text.line(f.code)}  {_text.line(f.subject)}"
        for word, f in _changes.findings(report.changes)
    ]
    blocks = ["\n".join([_changes.title(report, report.changes), *found])]
    if rows := _changes.rows(report.changes):
        blocks.append(_table(rows, _changes.HEADERS, right_from=2))
    blocks += _changes.notes(report.changes)
    return "\n\n".join(blocks)


def _findings(report: Report, width: int | None) -> str:
    found = _text.findings(report)
    if not found:
        return ""
    blocks = [f"FINDINGS: {_text.tally(f.severity for f in found)}"]
    remedy = None
    for finding in found:
        same = finding.remedy is not None and finding.remedy == remedy
        blocks.append(_finding(finding, width, same_remedy=same))
        remedy = finding.remedy
    checks = dict.fromkeys(f.code.partition("/")[0] for f in found)
    blocks.append("More on each: " + ", ".join(f"k8sdiag explain {c}" for c in checks))
    return "\n\n".join(blocks)


def _finding(finding: Finding, width: int | None, *, same_remedy: bool) -> str:
    code, subject = _text.line(finding.code), _text.line(finding.subject)
    rows = [f"{finding.severity.upper()}  {code}  {subject}"]
    rows += _wrapped(finding.message, width)
    if same_remedy:
        rows.append(f"{ASIDE}Mend: as above")
    elif finding.remedy:
        rows += _remedy(finding.remedy, width)
    return "\n".join(rows)


def _remedy(remedy: Remedy, width: int | None) -> list[str]:
    rows = _wrapped(f"Mend: {remedy.summary}", width)
    rows += [TYPE + _text.typed(command) for command in remedy.commands]
    if remedy.manifest:
        rows.append(f"{ASIDE}File or patch:")
        rows += [TYPE + row if row else "" for row in _text.manifest(remedy.manifest)]
    return rows


def _waived(report: Report, width: int | None) -> str:
    blocks = []
    for waived in _text.waived(report):
        finding, waiver = waived.finding, waived.waiver
        code, subject = _text.line(finding.code), _text.line(finding.subject)
        rows = [f"WAIVED  {code}  {subject} ({finding.severity})"]
        rows += _wrapped(finding.message, width)
        rows += _wrapped(f"Until {waiver.expires}: {waiver.reason}", width)
        blocks.append("\n".join(rows))
    blocks += ["\n".join(["WAIVER", *_wrapped(said, width)]) for said in _text.of_waivers(report)]
    head = "WAIVED, counts for nothing" if _text.waived(report) else "WAIVERS"
    return "\n\n".join([head, *blocks]) if blocks else ""


def _not_whole(report: Report, width: int | None) -> str:
    # Many checks can miss the same thing, the other nodes say: told once for all of them.
    missed: dict[tuple[str, str], list[str]] = {}
    for outcome in _text.not_whole(report):
        # A check with findings that missed a part has its findings above; here is what it missed.
        status = "partial" if outcome.status == "findings" else outcome.status
        reason = outcome.reason or "it did not say why"
        missed.setdefault((status, reason), []).append(_text.line(outcome.check))
    blocks = [
        "\n".join([f"{status.upper()}  {', '.join(checks)}", *_wrapped(reason, width)])
        for (status, reason), checks in missed.items()
    ]
    return "\n\n".join(["NOT JUDGED, or not all of it", *blocks]) if blocks else ""


def _cost(report: Report) -> str:
    return f"Looking cost the cluster and this machine: {_text.cost(report.cost)}"


def _wrapped(text: str, width: int | None) -> list[str]:
    text = _text.line(text)
    if width is None:
        return [ASIDE + text]
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=ASIDE,
        subsequent_indent=ASIDE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(
    rows: Sequence[tuple[str, ...]], headers: tuple[str, ...], right_from: int | None = None
) -> str:
    from tabulate import tabulate

    # Names that look like numbers ("1e3") stay names.
    right: tuple[str, ...] = ("left", "left", "right", "right", "right", "left")
    if right_from is not None:
        right = ("left",) * right_from + ("right",) * (len(headers) - right_from)
    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True, colalign=right)
