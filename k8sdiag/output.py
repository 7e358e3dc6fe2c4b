"""Where reports go: formats, files, and the exit code."""

import inspect
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import click

from k8sdiag import plugins
from k8sdiag.config import ConfigError
from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
from k8sdiag.model import Finding, Report, Severity

Writer = tuple[ModuleType, Path | None]  # an exporter and the file it goes to; None: stdout


def writers(outputs: Iterable[str]) -> list[Writer]:
    """What -o asks for. Known before the cluster is read: a typing error costs no audit."""
    formats = plugins.exporters()[0]
    found: list[Writer] = []
    for output in outputs or ("table",):
        name, _, file = output.partition("=")
        if name not in formats:
            raise click.UsageError(f"unknown format {name!r}: there are {', '.join(formats)}")
        path = Path(file) if file else None
        if path and not path.parent.is_dir():
            raise ConfigError(f"-o {output}: there is no folder {path.parent}")
        found.append((formats[name], path))
    if sum(path is None for _, path in found) > 1:
        raise click.UsageError(
            "two formats on standard output: give all but one a file, -o json=FILE"
        )
    return found


def write(judged: Report, writers: Iterable[Writer]) -> None:
    """Every format to where it goes."""
    for exporter, path in writers:
        text = render(exporter, judged, to_stdout=path is None)
        if path is None:
            click.echo(text, nl=not text.endswith("\n"))
        else:
            _write(path, text, getattr(exporter, "FILE_MODE", None))


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


def _write(path: Path, text: str, mode: int | None) -> None:
    """Whole or not at all: a scraper may read at any moment."""
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_text(text)  # a pipe or /dev/stderr
            return
        umask = os.umask(0)
        os.umask(umask)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w") as out:
                out.write(text)
            Path(name).chmod(0o666 & ~umask if mode is None else mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
