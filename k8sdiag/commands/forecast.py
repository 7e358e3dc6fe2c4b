"""forecast: at how many nodes the cluster breaks, and on which limit first."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k8sdiag.commands.options import CHOICE, CLUSTER, PATH, recorded

if TYPE_CHECKING:
    from k8sdiag.forecast import Projected, Projection
    from k8sdiag.model import Report

EXIT_CODES = """\b
Exit codes:
  0  every limit that could be measured holds at the target
  1  one breaks at the target, or before
  2  usage or configuration error
  3  a limit could not be measured, or the size of the cluster is unknown"""


@click.command(epilog=EXIT_CODES)
@click.argument("snapshot", type=PATH, required=False)
@click.option("--demo", is_flag=True, help="Of the lab recording that ships with k8sdiag.")
@click.option("--nodes", type=click.IntRange(min=1), required=True, help="The size to look at.")
@click.option(
    "--pods-per-node",
    type=click.FloatRange(min=0, min_open=True),
    help="Pods on each node at that size; default: as many as now.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
)
@CLUSTER
@CHOICE
def forecast(
    snapshot: Path | None,
    demo: bool,
    nodes: int,
    pods_per_node: float | None,
    output: str,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    **cluster: Any,
) -> int:
    """Tell every limit at another size of the cluster, and the size at which it breaks.

    Of a live cluster or a SNAPSHOT file. A limit is taken to grow with the cluster as its
    check's page says (k8sdiag explain ID).
    """
    from k8sdiag import run
    from k8sdiag.doors import Target
    from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
    from k8sdiag.forecast import UnknownSizeError, project
    from k8sdiag.judge import judge

    checks = run.choose(chosen, skip, config).values()
    facts = recorded(snapshot, demo, cluster) or run.look(checks, Target(**cluster))
    report = judge(checks, facts)
    try:
        projection = project(report, nodes, pods_per_node)
    except UnknownSizeError as error:
        why = dict.fromkeys(m.reason for n, m in facts.missing.items() if n in ("Nodes", "Pods"))
        none = "it has none" if "Nodes" in facts.facts else "no check read them"
        click.echo(f"k8sdiag: {error}: {'; '.join(why) or none}", err=True)
        return NOT_JUDGED
    if output == "json":
        click.echo(_json(projection, report))
    else:
        click.echo(_text(projection, report, "github" if output == "markdown" else "plain"))
    if any(limit.breaks_at_target for limit in projection.limits):
        return FINDINGS
    return FINE if all(o.whole for o in report.outcomes) else NOT_JUDGED


def _json(projection: "Projection", report: "Report") -> str:
    first = projection.first
    document = {
        "apiVersion": "k8sdiag.io/v1alpha1",
        "kind": "Forecast",
        "cluster": report.cluster,
        "lab": report.lab,
        "now": {
            "nodes": projection.nodes_now,
            "podsPerNode": round(projection.pods_per_node_now, 2),
        },
        "target": {"nodes": projection.nodes, "podsPerNode": round(projection.pods_per_node, 2)},
        "first": first and {k: _fields(first)[k] for k in ("limitId", "subject", "breaksAt")},
        "limits": [_fields(limit) for limit in projection.limits],
        "notMeasured": [
            {"check": o.check, "reason": o.reason} for o in report.outcomes if o.reason
        ],
    }
    return json.dumps(document, indent=2)


def _fields(limit: "Projected") -> dict[str, Any]:
    usage = limit.usage
    return {
        "limitId": usage.limit_id,
        "subject": usage.subject,
        "used": usage.used,
        "usedAtTarget": _rounded(limit.used_at_target),
        "limit": usage.limit,
        "unit": usage.unit,
        "driver": usage.driver,
        "breaksAt": _rounded(limit.breaks_at_nodes),
        "source": usage.source,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _text(projection: "Projection", report: "Report", style: str) -> str:
    from tabulate import tabulate

    from k8sdiag.exporters._text import LAB, amount, line

    bars = style == "plain" and sys.stdout.isatty()
    rows = []
    for limit in projection.limits:
        usage = limit.usage
        row = [
            usage.limit_id,
            line(usage.subject),
            amount(usage.used, usage.unit),
            "unknown" if limit.used_at_target is None else amount(limit.used_at_target, usage.unit),
            amount(usage.limit, usage.unit),
            _at(limit, projection),
            _change(limit, report),
        ]
        rows.append([*row[:5], _bar(limit), *row[5:]] if bars else row)
    headers = ["LIMIT", "SUBJECT", "NOW", f"AT {projection.nodes:,.0f} NODES", "OF", "BREAKS"]
    if bars:
        headers.insert(5, "")
    size = f"{projection.nodes_now:,.0f} nodes with {projection.pods_per_node_now:.1f} pods each"
    target = f"{projection.nodes:,.0f} nodes with {projection.pods_per_node:.1f} pods each"
    unseen: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        if outcome.reason:
            unseen.setdefault(line(outcome.reason), []).append(outcome.check)
    blocks = [
        *([f"*** {LAB}: {line(report.lab)} ***"] if report.lab else []),
        f"{_headline(projection)}\n{line(report.cluster)}: {size} now; looked at: {target}.",
        tabulate(
            rows,
            [*headers, "CHANGE BEFORE"],
            tablefmt=style,
            disable_numparse=True,
            colalign=None,
        ),
        "\n".join(f"not measured: {', '.join(ids)}: {why}" for why, ids in unseen.items()),
    ]
    return "\n\n".join(block for block in blocks if block)


def _headline(projection: "Projection") -> str:
    """What breaks first; and if that is not because of the nodes, what they break first."""
    from k8sdiag.exporters._text import line

    said = []
    first, by_nodes = projection.first, projection.first_by_nodes
    if first is not None and first is not by_nodes:
        dense = f"breaks at {projection.pods_per_node:.1f} pods a node"
        breaks = "broke already" if first.usage.ratio >= 1 else dense
        who = f"{first.usage.limit_id} of {line(first.usage.subject)}"
        said.append(f"{who} {breaks}, whatever the number of nodes.")
    if by_nodes is not None:
        at = by_nodes.breaks_at_nodes or 0
        breaks = "broke already" if at <= projection.nodes_now else "breaks first"
        who = f"{by_nodes.usage.limit_id} of {line(by_nodes.usage.subject)}"
        said.append(f"{'By nodes, ' * bool(said)}{who} {breaks}, at {at:,.0f} nodes.")
    return " ".join(said) or "No measured limit breaks as the cluster grows."


def _at(limit: "Projected", projection: "Projection") -> str:
    if limit.breaks_at_nodes is None:
        known = limit.used_at_target is not None
        return "not by nodes" if known else f"unknown: driven by {limit.usage.driver}"
    if limit.breaks_at_nodes <= projection.nodes_now and limit.usage.ratio >= 1:
        return "now"
    if limit.usage.driver == "pods_per_node":
        return f"at {projection.pods_per_node:.1f} pods a node"
    return f"at {limit.breaks_at_nodes:,.0f} nodes"


def _change(limit: "Projected", report: "Report") -> str:
    """The remedy of the check's finding on the same limit, in a sentence; else its page."""
    from k8sdiag.exporters._text import line

    for outcome in report.outcomes:
        for finding in outcome.findings if outcome.check == limit.check else ():
            about = (finding.subject, finding.limit)
            if about == (limit.usage.subject, limit.usage.limit) and finding.remedy:
                sentence = finding.remedy.summary.partition(". ")[0].partition("; ")[0]
                return line(sentence) + f" (k8sdiag explain {limit.check})"
    return f"k8sdiag explain {limit.check}"


def _bar(limit: "Projected", cells: int = 10) -> str:
    """How full the limit is at the target: whole blocks, one more mark when it overflows."""
    used = limit.usage.used if limit.used_at_target is None else limit.used_at_target
    full = int(cells * min(1.0, used / limit.usage.limit))
    return "#" * full + "." * (cells - full) + ("!" if limit.breaks_at_target else " ")
