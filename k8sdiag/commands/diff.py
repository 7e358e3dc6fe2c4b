"""diff: what changed between two snapshots."""

from pathlib import Path

import click

from k8sdiag.commands.options import CHOICE, EXIT_CODES, PATH


@click.command(epilog=EXIT_CODES)
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@CHOICE
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "critical", "never"]),
    default="critical",
    show_default=True,
    help="New or worse findings from this severity on make the exit code 1.",
)
@click.option(
    "-o",
    "--output",
    "format_",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
)
def diff(
    old: Path,
    new: Path,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    fail_on: str,
    format_: str,
) -> int:
    """Tell what is new, worse, better and gone between two snapshots, and what each limit gained.

    Both are judged by the same limits. What OLD had does not count for the exit code.
    """
    from k8sdiag import run
    from k8sdiag.exporters import jsonreport, markdown, table
    from k8sdiag.output import exit_code

    checks = run.choose(chosen, skip, config)
    looks = run.load(old), run.load(new)
    report = run.compared(list(checks.values()), *looks, run.waivers(config))
    render = {"table": table, "markdown": markdown, "json": jsonreport}[format_].changes
    click.echo(render(report).rstrip("\n"))
    return exit_code(report, fail_on, only_new=True)
