"""For programs: the whole report. k8sdiag/report.schema.json describes it."""

import json
import re
from typing import Any

import msgspec
from msgspec import structs

from k8sdiag.forecast import Nearest, nearest_limits
from k8sdiag.model import Changes, Finding, Outcome, Report, Usage, Waived

FORMAT = "json"
API_VERSION = "k8sdiag.io/v1alpha1"


def render(report: Report) -> str:
    """JSON in ASCII, two spaces a level; a ratio to a limit of 0 is null."""
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Report",
        "cluster": report.cluster,
        "takenAt": report.taken_at,
        "version": report.version,
        "outcomes": [_outcome(outcome) for outcome in report.outcomes],
        "nearestLimits": [_nearest(near) for near in nearest_limits(report)],
        "cost": _camel(structs.asdict(report.cost)),
    }
    if report.lab:
        document["lab"] = report.lab
    if report.changes is not None:
        document["changes"] = _changes(report.changes)
    if report.expired or report.unmatched:
        groups = {"expired": report.expired, "unmatched": report.unmatched}
        document["waivers"] = {n: [structs.asdict(w) for w in g] for n, g in groups.items()}
    return _text(document)


def changes(report: Report) -> str:
    """What changed since the baseline, alone."""
    document = {
        "apiVersion": API_VERSION,
        "kind": "Diff",
        "cluster": report.cluster,
        "takenAt": report.taken_at,
        "version": report.version,
        "changes": report.changes and _changes(report.changes),
    }
    return _text(document)


def _text(document: dict[str, Any]) -> str:
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    # All else stands inside strings, and a terminal may obey it (U+009B) or hide it (U+202E).
    return re.sub(r"[^\x20-\x7e\n]", lambda found: json.dumps(found[0])[1:-1], text) + "\n"


def _changes(changes: Changes) -> dict[str, Any]:
    groups = ("new", "worse", "better", "gone", "unseen")
    return {
        "cluster": changes.cluster,
        "since": changes.since,
        **{group: [_finding(f) for f in getattr(changes, group)] for group in groups},
        "unjudged": changes.unjudged,
        "moved": [
            {"usage": _usage(m.usage), "before": m.before, "perDay": m.per_day}
            for m in changes.moved
        ],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    waived = {"waived": [_waived(w) for w in outcome.waived]} if outcome.waived else {}
    return {
        "check": outcome.check,
        "title": outcome.title,
        "status": outcome.status,
        "reason": outcome.reason,
        "durationSeconds": outcome.duration_seconds,
        "findings": [_finding(finding) for finding in outcome.findings],
        "usages": [_usage(usage) for usage in outcome.usages],
        **waived,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    remedy = finding.remedy and _camel(structs.asdict(finding.remedy))
    return _camel(structs.asdict(finding)) | {"remedy": remedy}


def _waived(waived: Waived) -> dict[str, Any]:
    waiver = {"reason": waived.waiver.reason, "expires": waived.waiver.expires}
    return _finding(waived.finding) | {"waived": waiver}


def _usage(usage: Usage) -> dict[str, Any]:
    return _camel(structs.asdict(usage))


def _nearest(near: Nearest) -> dict[str, Any]:
    breaks_at = None
    if near.breaks_at is not None:
        breaks_at = {"driver": near.usage.driver, "value": round(near.breaks_at, 1)}
    return {
        "limitId": near.usage.limit_id,
        "subject": near.usage.subject,
        "usedRatio": round(near.ratio, 4),
        "breaksAt": breaks_at,
    }


def _camel(fields: dict[str, Any]) -> dict[str, Any]:
    """limit_id -> limitId, as in every API of Kubernetes."""
    words = {name: name.split("_") for name in fields}
    return {
        first + "".join(word.title() for word in rest): fields[name]
        for name, (first, *rest) in words.items()
    }
