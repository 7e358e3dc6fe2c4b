"""The commands. Thin: each one collects or loads a snapshot, judges it and prints.

Nothing heavy is imported before a command needs it: `k8sdiag --help` and the node exporter
never see kubernetes, grpc or rich.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from k8sdiag.version import VERSION

PATH = click.Path(dir_okay=False, path_type=Path)
EXIT_CODES = """\b
Exit codes:
  0  all judged, nothing at or above --fail-on
  1  findings at or above --fail-on
  2  usage or configuration error
  3  something that was asked for could not be judged, or not all of it"""


def main() -> NoReturn:
    """The entry point: turns every error into one line and the promised exit code."""
    from k8sdiag.errors import one_line

    sys.exit(one_line(lambda: cli(standalone_mode=False)))


def options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several click options as one decorator, in the order of the help text."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


CHOICE = options(
    click.option("--check", "chosen", metavar="ID", multiple=True, help="Only this check."),
    click.option("--skip", metavar="ID", multiple=True, help="Not this check."),
    click.option("--config", type=PATH, help="Limits of the checks; default: k8sdiag.toml here."),
)
DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)
TREE = options(
    click.option(
        "--path.procfs",
        "procfs",
        type=DIRECTORY,
        help="Look at the host whose /proc lies here; default: this one, or proc of the rootfs.",
    ),
    click.option(
        "--path.rootfs",
        "rootfs",
        type=DIRECTORY,
        help="Look at the host whose / lies here; default: this one.",
    ),
)
OUTPUT = options(
    click.option(
        "--fail-on",
        type=click.Choice(["warning", "critical", "never"]),
        default="critical",
        show_default=True,
        help="Findings from this severity on make the exit code 1.",
    ),
    click.option(
        "-o",
        "--output",
        "outputs",
        metavar="FORMAT[=FILE]",
        multiple=True,
        help="table (default), json, markdown or prometheus; may be given several times.",
    ),
)
CLUSTER = options(
    click.option("--context", metavar="NAME", help="The kubeconfig context to use."),
    click.option(
        "--kubeconfig", type=PATH, help="Default: $KUBECONFIG, ~/.kube/config, in-cluster."
    ),
    click.option("--etcd-endpoints", metavar="URL,...", help="Ask etcd itself, as etcdctl does."),
    click.option("--etcd-cacert", type=PATH, help="The CA of etcd's server certificates."),
    click.option("--etcd-cert", type=PATH, help="A client certificate that etcd accepts."),
    click.option("--etcd-key", type=PATH, help="Its key."),
    click.option(
        "--kubelet-configz",
        type=click.Choice(["off", "proxy"]),
        default="off",
        show_default=True,
        help="Read kubelet settings through the API server; needs nodes/proxy, which allows exec.",
    ),
    click.option("--quick", is_flag=True, help="A tenth of the data: no running pods; partial."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="k8sdiag %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr, with tracebacks.")
def cli(verbose: bool) -> None:
    """Tells which limit of a Kubernetes cluster breaks next, how close it is, what to type."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR,
        format="k8sdiag: %(name)s: %(message)s",
    )


@cli.command(epilog=EXIT_CODES)
@click.argument("snapshot", type=PATH, required=False)
@click.option("--demo", is_flag=True, help="Judge the lab recording that ships with k8sdiag.")
@CLUSTER
@CHOICE
@OUTPUT
def audit(
    snapshot: Path | None,
    demo: bool,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    fail_on: str,
    outputs: tuple[str, ...],
    **cluster: Any,
) -> int:
    """Judge a cluster and this host, or a SNAPSHOT file taken earlier.

    Without a kubeconfig this host alone is judged, and the report says what was not.
    """
    from k8sdiag import run

    live = [name for name in cluster if _given(name)]
    if (snapshot or demo) and (live or (snapshot and demo)):
        other = "--demo" if snapshot and demo else "--" + live[0].replace("_", "-")
        raise click.UsageError(f"a recording is judged as it is: drop {other}, or the recording")
    writers = run.writers(outputs)
    checks = run.choose(chosen, skip, config)
    if demo:
        facts = run.load_demo()
    elif snapshot:
        facts = run.load(snapshot)
    else:
        facts = run.look(checks.values(), run.Target(**cluster))
    return run.report(checks.values(), facts, writers, fail_on)


@cli.command(epilog=EXIT_CODES)
@TREE
@CHOICE
@OUTPUT
def node(
    procfs: Path | None,
    rootfs: Path | None,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    fail_on: str,
    outputs: tuple[str, ...],
) -> int:
    """Judge this host alone: kernel, kubelet, container runtime."""
    from k8sdiag import run
    from k8sdiag.readers.host import Host

    writers = run.writers(outputs)
    checks = run.of_this_host(run.choose(chosen, skip, config))
    facts = run.look_at_host(checks.values(), Host(procfs, rootfs))()
    return run.report(checks.values(), facts, writers, fail_on)


@cli.command()
@click.argument("file", type=PATH)
@CLUSTER
def snapshot(file: Path, **cluster: Any) -> int:
    """Collect all facts into FILE, to be judged later or elsewhere.

    The file holds no Secret, no environment value, no annotation and no token; it does name
    the cluster's workloads, images and nodes, and only its owner can read it.
    """
    from k8sdiag import run
    from k8sdiag.snapshot import save

    facts = run.look(run.choose((), (), None).values(), run.Target(**cluster))
    save(facts, file)
    size = file.stat().st_size
    click.echo(f"{file}: {len(facts.facts)} facts, {size:,} bytes", err=True)
    for reason in dict.fromkeys(m.reason for m in facts.missing.values()):
        click.echo(f"not seen: {reason}", err=True)
    return 0


@cli.command()
def checks() -> int:
    """List the checks."""
    from tabulate import tabulate

    from k8sdiag import plugins

    rows = [
        (c.id, f"does not load: {c.broken}" if c.broken else c.title)
        for c in plugins.checks().values()
    ]
    click.echo(tabulate(rows, ("CHECK", "WHAT IT FINDS"), tablefmt="plain"))
    return 0


@cli.command()
@click.argument("check", metavar="ID")
def explain(check: str) -> int:
    """Print a check's page: what it reads, its limits, how to mend what it finds."""
    from k8sdiag import run

    click.echo_via_pager(run.page(run.choose((check,), (), None)[check]))
    return 0


@cli.command()
@click.option("--check", "chosen", metavar="ID", multiple=True, help="Only for this check.")
@click.option(
    "--kubelet-configz",
    type=click.Choice(["off", "proxy"]),
    default="off",
    show_default=True,
    help="With what --kubelet-configz=proxy of the audit needs.",
)
def rbac(chosen: tuple[str, ...], kubelet_configz: str) -> int:
    """Print the smallest ClusterRole that the chosen checks need, ready for kubectl apply."""
    from k8sdiag import plugins, run
    from k8sdiag.rbac import manifest

    checks = run.choose(chosen, (), None)
    wanted = run.sources_of(checks.values(), plugins.sources()[0])
    click.echo(manifest(wanted, proxy=kubelet_configz == "proxy"), nl=False)
    return 0


@cli.group()
def serve() -> None:
    """Serve findings and metrics over HTTP, for Prometheus."""


@serve.command("node")
@click.option(
    "--web.listen-address",
    "listen",
    metavar="[HOST]:PORT",
    multiple=True,
    default=[":10057"],  # the exporters' usual 9100 to 9999 are all given away
    show_default=True,
    help="May be given several times.",
)
@click.option(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    help="Where the metrics are.",
)
@TREE
@CHOICE
def serve_node(
    listen: tuple[str, ...],
    telemetry_path: str,
    procfs: Path | None,
    rootfs: Path | None,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
) -> int:
    """Export this host's numbers and findings, read anew at each scrape."""
    from k8sdiag import run
    from k8sdiag.readers.host import Host
    from k8sdiag.serve import serve as serve_http

    checks = run.of_this_host(run.choose(chosen, skip, config))
    # One look a scrape: Prometheus sees by itself whether a counter rises.
    host = Host(procfs, rootfs, look_seconds=0)
    serve_http(run.export_host(checks.values(), host), listen, telemetry_path)
    return 0


def _given(option: str) -> bool:
    """Whether the user typed this option, whatever its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE
