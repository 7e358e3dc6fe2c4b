"""What the commands share: choose checks, open doors, look, judge, write."""

import difflib
import inspect
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from k8sdiag import config, plugins
from k8sdiag import snapshot as snapshot_file
from k8sdiag.collect import Door, collect
from k8sdiag.config import ConfigError
from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
from k8sdiag.judge import judge
from k8sdiag.model import Check, Missing, Report, Severity, Snapshot, Unavailable
from k8sdiag.plugins import Source
from k8sdiag.progress import progress
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

HERE = Path(__file__).parent
Writer = tuple[ModuleType, Path | None]  # an exporter and the file it goes to; None: stdout
NOT_ASKED = Missing(reason="this command looks at this host alone", asked=False)


class Target(Struct, kw_only=True):
    """Where to look: the options of the command line, as given."""

    context: str | None = None
    kubeconfig: Path | None = None
    etcd_endpoints: str | None = None
    etcd_cacert: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    prometheus: str | None = None
    prometheus_token_file: Path | None = None
    kubelet_configz: str = "off"
    quick: bool = False


def choose(chosen: Iterable[str], skip: Iterable[str], file: Path | None) -> dict[str, Check]:
    """The checks that the user wants, with the limits of their configuration file."""
    path = config.find(file)
    checks = config.apply(config.read(path), plugins.checks(), path)
    for name in [*chosen, *skip]:
        if name not in checks:
            near = difflib.get_close_matches(name, checks, n=1)
            hint = f"did you mean {near[0]}?" if near else "`k8sdiag checks` lists them"
            raise click.UsageError(f"there is no check {name!r}: {hint}")
    wanted = [i for i in checks if i in set(chosen or checks) - set(skip)]
    if not wanted:
        raise click.UsageError("no check is left to run: --skip takes away all that was chosen")
    return {i: checks[i] for i in wanted}


def sources_of(checks: Iterable[Check], sources: Iterable[Source]) -> list[Source]:
    """The sources that give what these checks need."""
    facts = {fact for check in checks for fact in check.needs.values()}
    return [source for source in sources if source.fact in facts]


def of_this_host(checks: dict[str, Check]) -> dict[str, Check]:
    """The checks that this host alone can answer."""

    here = {source.fact for source in plugins.sources()[0] if source.door is Host}
    found = {}
    for check in checks.values():
        required = {f for name, f in check.needs.items() if name not in check.optional}
        if check.broken or (required <= here and here & set(check.needs.values())):
            found[check.id] = check
    if not found:
        raise click.UsageError("none of the chosen checks can be judged on a host alone")
    return found


def look(checks: Iterable[Check], target: Target) -> Snapshot:
    """Look at the cluster, at etcd and at this host."""
    sources = sources_of(checks, plugins.sources()[0])
    with progress() as show:
        doors, cluster = open_doors(target, show)
        return collect(sources, doors, cluster=cluster)


def open_doors(
    target: Target, show: Callable[[str, int, int | None], None]
) -> tuple[dict[type, Door | Missing], str]:
    """Every door of the target, or why it stays closed; and what the report calls the cluster.

    Raises ConfigError where the user's own configuration is wrong.
    """

    host = Host()
    doors: dict[type, Door | Missing] = {Host: host, Prometheus: _prometheus(target)}
    cluster = f"this host alone ({host.name})"
    try:
        kubernetes = Kubernetes.open(target.kubeconfig, target.context)
        kubernetes.quick = target.quick
        kubernetes.configz = target.kubelet_configz == "proxy"
        kubernetes.progress = show
        doors[Kubernetes] = kubernetes
        cluster = kubernetes.name
    except Unavailable as error:
        doors[Kubernetes] = Missing(reason=str(error))
    if target.etcd_endpoints:
        doors[Etcd] = Etcd.open(
            target.etcd_endpoints,
            cacert=target.etcd_cacert,
            cert=target.etcd_cert,
            key=target.etcd_key,
        )
    else:
        doors[Etcd] = Missing(
            reason="etcd was not asked: give --etcd-endpoints with --etcd-cacert, --etcd-cert and "
            "--etcd-key (kubeadm keeps them in /etc/kubernetes/pki/etcd)"
        )
    return doors, cluster


def _prometheus(target: Target) -> Prometheus | Missing:
    if target.prometheus:
        return Prometheus.open(target.prometheus, target.prometheus_token_file)
    if target.prometheus_token_file:
        raise ConfigError("--prometheus-token-file is for --prometheus URL: give both")
    return Missing(reason="Prometheus was not asked: give --prometheus URL", asked=False)


def look_at_host(checks: Iterable[Check], host: Host) -> Callable[[], Snapshot]:
    """A function that looks at one host alone, or at a tree that stands for it."""
    sources = sources_of(checks, plugins.sources()[0])
    doors: dict[type, Door | Missing] = {s.door: NOT_ASKED for s in sources}
    return lambda: collect(sources, doors | {Host: host}, cluster=host.name)


def export_host(checks: Iterable[Check], host: Host) -> "Callable[[], Iterable[Family]]":
    """A function that looks at the host and judges it: what the node exporter runs per scrape."""
    from k8sdiag.families import families, looks

    checks = list(checks)
    look = look_at_host(checks, host)

    def scrape() -> "Iterable[Family]":
        snapshot = look()
        yield from families(judge(checks, snapshot), states=False)
        yield from looks(snapshot)

    return scrape


def load(path: Path) -> Snapshot:
    return snapshot_file.load(path, plugins.fact_types())


def load_demo() -> Snapshot:
    return load(HERE / "demo.json.gz")


def page(check: Check) -> str:
    """A check's page; a plugin's check may have its docstring alone."""
    file = HERE / "pages" / f"{check.id}.md"
    return file.read_text() if file.is_file() else f"# {check.id}\n\n{check.doc}\n"


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


def report(
    checks: Iterable[Check], snapshot: Snapshot, writers: Iterable[Writer], fail_on: str
) -> int:
    """Judge, write every format, and give the exit code."""
    judged = judge(checks, snapshot)
    for exporter, path in writers:
        text = render(exporter, judged, to_stdout=path is None)
        if path is None:
            click.echo(text, nl=not text.endswith("\n"))
        else:
            _write(path, text, getattr(exporter, "FILE_MODE", None))
    return exit_code(judged, fail_on)


def render(exporter: ModuleType, report: Report, *, to_stdout: bool) -> str:
    """A terminal gets its width, if the format takes one; a pipe or a file never does."""
    takes_width = "width" in inspect.signature(exporter.render).parameters
    wide = {}
    if to_stdout and takes_width and sys.stdout.isatty():
        wide = {"width": shutil.get_terminal_size().columns}
    text: str = exporter.render(report, **wide)
    return text


def exit_code(report: Report, fail_on: str) -> int:
    """The promise of the command line: 1 wins over 3."""
    found = [f.severity.rank for outcome in report.outcomes for f in outcome.findings]
    if fail_on != "never" and found and max(found) >= Severity(fail_on).rank:
        return FINDINGS
    return FINE if all(outcome.whole for outcome in report.outcomes) else NOT_JUDGED


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
