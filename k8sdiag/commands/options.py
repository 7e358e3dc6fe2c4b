"""Options that several commands share."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from k8sdiag.model import Snapshot

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
PATH = click.Path(dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
EXIT_CODES = """\b
Exit codes:
  0  all judged, nothing at or above --fail-on
  1  findings at or above --fail-on
  2  usage or configuration error
  3  something that was asked for could not be judged, or not all of it"""


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
API = options(
    click.option("--context", metavar="NAME", help="The kubeconfig context to use."),
    click.option(
        "--kubeconfig", type=PATH, help="Default: $KUBECONFIG, ~/.kube/config, in-cluster."
    ),
)
ETCD = options(
    click.option("--etcd-endpoints", metavar="URL,...", help="Ask etcd itself, as etcdctl does."),
    click.option("--etcd-cacert", type=PATH, help="The CA of etcd's server certificates."),
    click.option("--etcd-cert", type=PATH, help="A client certificate that etcd accepts."),
    click.option("--etcd-key", type=PATH, help="Its key."),
    click.option(
        "--etcd-user",
        metavar="NAME",
        help="For an etcd with users; the password comes from K8SDIAG_ETCD_PASSWORD or is asked.",
    ),
)
PROMETHEUS = options(
    click.option(
        "--prometheus", metavar="URL", help="Ask Prometheus too; https://USER:PASSWORD@HOST works."
    ),
    click.option("--prometheus-token-file", type=PATH, help="Holds a bearer token for it."),
)
CLUSTER = options(
    API,
    ETCD,
    PROMETHEUS,
    click.option(
        "--kubelet-configz",
        type=click.Choice(["off", "proxy", "direct"]),
        default="off",
        show_default=True,
        help="Read kubelet settings: through the API server (proxy; needs nodes/proxy, which "
        "allows exec), or from inside the cluster (direct; needs nodes/configz).",
    ),
    click.option(
        "--kubelet-insecure-tls",
        is_flag=True,
        help="With direct: take any certificate, also of one who poses as a kubelet.",
    ),
    click.option(
        "--coredns-metrics",
        type=click.Choice(["off", "proxy"]),
        default="off",
        show_default=True,
        help="Read CoreDNS' metrics through the API server, twice in 10 s; needs pods/proxy.",
    ),
    click.option(
        "--node-resolv-conf",
        type=EXISTING,
        help="The resolv.conf that kubelets hand on to pods: a copy from any node.",
    ),
    click.option("--quick", is_flag=True, help="A tenth of the data: no running pods; partial."),
)


def duration(_context: click.Context, _option: click.Parameter, value: str) -> float:
    """Seconds of "5m", "90s" or "1h30m"."""
    parts = re.findall(r"(\d+)([smh])", value)
    if not parts or "".join(n + unit for n, unit in parts) != value:
        raise click.BadParameter(f"{value!r}: give a duration such as 5m or 90s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds:
        raise click.BadParameter("it can't be nothing")
    return seconds


def given(option: str) -> bool:
    """Whether the user typed this option, whatever its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def recorded(snapshot: Path | None, demo: bool, live: Iterable[str]) -> "Snapshot | None":
    """The facts of a recording, if the user named one; `live` are the options that it excludes."""
    from k8sdiag import run

    if not snapshot and not demo:
        return None
    typed = [name for name in live if given(name)]
    if typed or (snapshot and demo):
        other = "--demo" if snapshot and demo else "--" + typed[0].replace("_", "-")
        raise click.UsageError(f"a recording is judged as it is: drop {other}, or the recording")
    return run.load(snapshot) if snapshot else run.load_demo()
