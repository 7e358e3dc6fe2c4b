"""Where reports go: formats, files, and the exit code."""

import inspect
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import click

from k8sdiag import files, plugins
from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
from k8sdiag.model import ConfigError, Finding, Report, Severity

Writer = tuple[ModuleType, Path | None]  # an exporter and the file it goes to; None: stdout


def writers(outputs: Iterable[str]) -> list[Writer]:
    """What -o asks for. Known before the cluster is read: a typing error costs no audit."""
    formats = plugins.exporters()[0]
    found: list[Writer] = []
    for output in outputs or ("table",):
        name, named, file = output.partition("=")
        if name not in formats:
            raise click.UsageError(f"unknown format {name!r}: there are {', '.join(formats)}")
        if named and not file:
            raise click.UsageError(f"-o {output} names no file: -o {name} is for standard output")
        path = Path(file) if file else None
        if path:
            files.must_be_writable(path)
        found.append((formats[name], path))
    if sum(path is None for _, path in found) > 1:
        raise click.UsageError(
            "two formats on standard output: give all but one a file, -o json=FILE"
        )
    return found


def write(judged: Report, writers: Iterable[Writer]) -> None:
    """Every format to where it goes. One that can't be written costs no other.

    Files come first, because the reader of standard output may go away. Raises ConfigError.
    """
    failed = []
    for exporter, path in sorted(writers, key=lambda writer: writer[1] is None):
        text = render(exporter, judged, to_stdout=path is None)
        if path is None:
            click.echo(text, nl=not text.endswith("\n"))
            continue
        try:
            files.write(path, text.encode(), getattr(exporter, "FILE_MODE", None))
        except ConfigError as error:
            failed.append(str(error))
    if failed:
        raise ConfigError("; ".join(failed))


def render(exporter: ModuleType, report: Report, *, to_stdout: bool) -> str:
    """A terminal gets its width, if the format takes one; a pipe or a file never does."""
    takes_width = "width" in inspect.signature(exporter.render).parameters
    wide = {}
    if to_stdout and takes_width and sys.stdout.isatty():
        wide = {"width": shutil.get_terminal_size().columns}
    text: str = exporter.render(report, **wide)
    return text


def exit_code(report: Report, fail_on: str, *, only_new: bool = False) -> int:
    """The promise of the command line: 1 wins over 3.

    With only_new, what the baseline had counts no more, nor what could not be judged then either.
    """
    if only_new and report.changes is not None:
        return _of(
            [*report.changes.new, *report.changes.worse],
            fail_on,
            whole=not report.changes.unjudged,
        )
    found = [f for outcome in report.outcomes for f in outcome.findings]
    return _of(found, fail_on, whole=all(outcome.whole for outcome in report.outcomes))


def _of(findings: Iterable[Finding], fail_on: str, *, whole: bool) -> int:
    found = [f.severity.rank for f in findings]
    if fail_on != "never" and found and max(found) >= Severity(fail_on).rank:
        return FINDINGS
    return FINE if whole else NOT_JUDGED
