"""watch: an incident. The cheapest signals of every failure, again and again, worst first."""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k8sdiag.commands.options import API, ETCD, PROMETHEUS, duration

if TYPE_CHECKING:
    from k8sdiag.eyes import Eyes
    from k8sdiag.watching import Entry, Timeline, Verdict

EXIT_CODES = """\b
Exit codes:
  0  nothing critical was seen, and the last look saw all
  1  something critical was seen
  2  usage or configuration error
  3  something could not be seen by the last look"""


@click.command(epilog=EXIT_CODES)
@API
@ETCD
@PROMETHEUS
@click.option(
    "--interval",
    metavar="DURATION",
    default="5s",
    show_default=True,
    callback=duration,
    help="Between two looks; what costs the API server more is read every 15 to 30 s at most.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many looks.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "markdown"]),
    default="table",
    show_default=True,
    help="Of the timeline at the end.",
)
def watch(
    context: str | None,
    kubeconfig: Path | None,
    interval: float,
    count: int | None,
    output: str,
    **target: Any,
) -> int:
    """Tell what is failing, worst first, until Ctrl-C; then the timeline, to paste.

    Asks what is cheap: whether the API server answers, how etcd and the nodes are, which pulls
    fail; and with --prometheus DNS and the neighbor tables. It goes on while the API server
    answers 429, 500 or not at all.
    """
    from k8sdiag import doors
    from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
    from k8sdiag.eyes import Eyes
    from k8sdiag.model import ConfigError, Unavailable
    from k8sdiag.readers.kubeconfig import load
    from k8sdiag.readers.prometheus import Prometheus
    from k8sdiag.watching import Timeline

    try:
        login = load(kubeconfig, context)
    except Unavailable as error:
        raise ConfigError(f"no cluster to watch: {error}") from error
    asked = doors.Target(context=context, kubeconfig=kubeconfig, **target)
    etcd = doors.named_etcd(asked) if asked.etcd_endpoints else None
    doors.prometheus(asked)  # a mistake in its options ends the command here
    timeline = Timeline()
    url = asked.prometheus
    fleet = partial(Prometheus.open, url, asked.prometheus_token_file) if url else None
    eyes = Eyes(login, etcd, fleet, interval)
    with suppress(KeyboardInterrupt):  # the way to end it
        _run(eyes, timeline, interval, count, markdown=output == "markdown")
    click.echo(_end(timeline, eyes, login.cluster, markdown=output == "markdown"))
    if timeline.critical:
        return FINDINGS
    return FINE if timeline.whole else NOT_JUDGED


def _run(
    eyes: "Eyes", timeline: "Timeline", interval: float, count: int | None, *, markdown: bool
) -> None:
    """Look until Ctrl-C or `count`. On a terminal a live view, else a line for each change."""
    if not sys.stdout.isatty():
        for changed in _looks(eyes, timeline, interval, count):
            for entry in changed:
                # With Markdown nothing but what is to be pasted goes to stdout.
                click.echo(_line(entry), err=markdown)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(Text("looking ..."), console=Console(), transient=True, auto_refresh=False) as live:
        for _ in _looks(eyes, timeline, interval, count):
            at = f"{timeline.ended:%H:%M:%S} UTC, Ctrl-C ends it"
            live.update(Text(f"{_table(timeline, 'plain')}\n\n{at}"), refresh=True)


def _looks(
    eyes: "Eyes", timeline: "Timeline", interval: float, count: int | None
) -> Iterator[list["Entry"]]:
    """The changes of each look."""
    from k8sdiag.watching import verdicts

    done = 0
    look = eyes.first_look()
    while True:
        yield timeline.take(look.at, verdicts(look))
        done += 1
        if count is not None and done >= count:
            return
        time.sleep(interval)
        look = eyes.look()


def _line(entry: "Entry") -> str:
    from k8sdiag.exporters._text import line

    found = entry.verdict
    return f"{entry.at:%H:%M:%S} {found.level.upper():8} {found.subject}: {line(found.message)}"


def _end(timeline: "Timeline", eyes: "Eyes", cluster: str, *, markdown: bool) -> str:
    """The timeline and how it stands at the end."""
    from k8sdiag.exporters import _text
    from k8sdiag.exporters.markdown import _prose

    if timeline.began is None or timeline.ended is None:
        return "k8sdiag watch ended before the first look."
    span = f"{timeline.began:%Y-%m-%d %H:%M:%S} to {timeline.ended:%H:%M:%S} UTC"
    name, cost = _text.line(cluster), _text.cost(eyes.cost)
    if not markdown:
        blocks = [f"{name}, {span}", _table(timeline, "plain")]
        if sys.stdout.isatty():  # elsewhere the lines above are the timeline
            blocks.append("\n".join(map(_line, timeline.entries)))
        return "\n" + "\n\n".join([*blocks, f"Looking cost: {cost}"])
    rows = [
        f"- {e.at:%H:%M:%S} **{e.verdict.level}** {e.verdict.subject}: {_prose(e.verdict.message)}"
        for e in timeline.entries
    ]
    blocks = [f"# k8sdiag watch: {_prose(cluster)}", f"{span}; cost: {cost}."]
    blocks += ["## Timeline (UTC)", "\n".join(rows), "## At the end", _table(timeline, "github")]
    return "\n\n".join(blocks)


def _table(timeline: "Timeline", style: str) -> str:
    from tabulate import tabulate

    from k8sdiag.exporters._text import line
    from k8sdiag.exporters.markdown import _prose

    words = _prose if style == "github" else line
    rows = [
        (v.level.upper(), v.subject, _gain(timeline, v), words(v.message)) for v in timeline.now
    ]
    headers = ("LEVEL", "SUBJECT", "SINCE START", "WHAT IS SEEN")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def _gain(timeline: "Timeline", verdict: "Verdict") -> str:
    from k8sdiag.exporters._text import amount

    gained = timeline.since_start(verdict)
    if gained is None:
        return "-"
    value, unit = gained
    return f"{'-' if value < 0 else '+'}{amount(abs(value), unit)}"
