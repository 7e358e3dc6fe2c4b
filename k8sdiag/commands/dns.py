"""dns trace: what a lookup of a name sends, by the resolver model and on the network."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k8sdiag.commands.options import API, EXISTING

if TYPE_CHECKING:
    from k8sdiag.commands.dnsconf import Conf
    from k8sdiag.dnstrace.trace import Trace

FAMILIES = {"any": "AF_UNSPEC", "inet": "AF_INET", "inet6": "AF_INET6"}
EXIT_CODES = """\b
Exit codes:
  0  every resolver shown gets an address
  1  a lookup fails, or what the servers answer breaks or slows lookups of some resolver
  2  usage or configuration error
  3  what was asked for could not be traced"""


@click.group()
def dns() -> None:
    """Look into DNS lookups."""


@dns.command(epilog=EXIT_CODES)
@click.argument("name")
@click.option("--resolv-conf", type=EXISTING, help="Default: this host's /etc/resolv.conf.")
@click.option("--pod", metavar="[NAMESPACE/]POD", help="The file that the kubelet wrote this pod.")
@click.option(
    "-n", "--namespace", metavar="NAME", help="Without --pod: of an ordinary pod in there."
)
@click.option("--node-resolv-conf", type=EXISTING, help="With a pod: the file of its node, a copy.")
@click.option(
    "--resolver",
    "resolvers",
    type=click.Choice(["glibc", "musl", "musl-1.2.3", "go"]),
    multiple=True,
    help="Default: this host's for its own file, else glibc, musl and go side by side.",
)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    default="any",
    show_default=True,
    help="Of the addresses that the program asks for.",
)
@click.option(
    "--assume",
    metavar="NAME=ANSWER",
    multiple=True,
    help="What a name on the walk is answered, if not asked: ok, nodata, nxdomain, servfail, "
    "refused, notimp, formerr, timeout, tc or closed. Unless one is ok, the name itself is.",
)
@click.option("--live", is_flag=True, help="Ask the servers too, one query at a time.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.1, 30),
    default=5.0,
    show_default=True,
    help="Seconds for one live answer.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
)
@API
def trace(
    name: str,
    resolv_conf: Path | None,
    pod: str | None,
    namespace: str | None,
    node_resolv_conf: Path | None,
    resolvers: tuple[str, ...],
    family: str,
    assume: tuple[str, ...],
    live: bool,
    timeout_seconds: float,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Show which queries a lookup of NAME sends, in order, and whether it succeeds.

    Predicted by a model of the resolver; with --live the servers' answers beside it, and the walk
    that the resolver makes of them. --live asks from where k8sdiag runs: to see what a pod sees,
    run it in the pod. It also asks each search domain for a name that does not exist, and each
    server with and without EDNS0.
    """
    from msgspec.structs import replace

    from k8sdiag.commands.dnsview import text
    from k8sdiag.dnstrace import trace as traces
    from k8sdiag.dnstrace.document import document
    from k8sdiag.dnstrace.walk import Lookup
    from k8sdiag.errors import FINDINGS, FINE, NOT_JUDGED
    from k8sdiag.exporters._text import line
    from k8sdiag.model import Unavailable

    if resolv_conf and (pod or namespace):
        raise click.UsageError("--resolv-conf names the file: drop --pod and --namespace")
    if node_resolv_conf and not (pod or namespace):
        raise click.UsageError("--node-resolv-conf is for a pod's file: give --pod or --namespace")
    told = _told(assume)
    try:
        conf = _conf(resolv_conf, pod, namespace, node_resolv_conf, kubeconfig, context)
        lookup = Lookup(conf=conf.text, name=name, family=FAMILIES[family], env=conf.env)
        with _as_usage_error():
            made = traces.predicted(lookup, resolvers or conf.resolvers, told)
            if live:
                made = _live(conf, made, timeout_seconds)
    except Unavailable as error:
        click.echo(f"k8sdiag: {line(str(error))}", err=True)
        return NOT_JUDGED
    made = replace(
        made,
        source=conf.source,
        notes=(*conf.notes, *_where(conf, live=live)),
        default_server="unknown" if conf.unknown_servers else "default",
    )
    click.echo(document(made) if output == "json" else text(made, output))
    return FINDINGS if made.findings else FINE


def _told(assume: tuple[str, ...]) -> dict[str, str]:
    from k8sdiag.resolver import WORDS

    told = {}
    for text in assume:
        name, _, answer = text.rpartition("=")
        if not name or answer not in WORDS:
            raise click.UsageError(
                f"--assume {text!r}: must be NAME=ANSWER, ANSWER one of {', '.join(sorted(WORDS))}"
            )
        told[name.lower().removesuffix(".") + "."] = answer
    return told


@contextmanager
def _as_usage_error() -> Iterator[None]:
    """What the model says of a name or a file that makes no sense."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _conf(
    resolv_conf: Path | None,
    pod: str | None,
    namespace: str | None,
    node_resolv_conf: Path | None,
    kubeconfig: Path | None,
    context: str | None,
) -> "Conf":
    from contextlib import closing

    from k8sdiag.commands import dnsconf
    from k8sdiag.readers.kubernetes import Kubernetes

    if resolv_conf:
        return dnsconf.of_file(resolv_conf)
    if not (pod or namespace):
        return dnsconf.of_host()
    for name in (pod, namespace):
        if name and not re.fullmatch(r"([a-z0-9.-]+/)?[a-z0-9.-]+", name):
            raise click.UsageError(f"{name!r} is no name of a pod or a namespace")
    before, _, pod_name = (pod or "").rpartition("/")
    if before and namespace and before != namespace:
        raise click.UsageError(f"--pod {pod} is not in --namespace {namespace}")
    with closing(Kubernetes.open(kubeconfig, context)) as door:
        return dnsconf.of_pod(door, before or namespace or "default", pod_name, node_resolv_conf)


def _live(conf: "Conf", made: "Trace", timeout_seconds: float) -> "Trace":
    from k8sdiag.dnstrace import trace as traces
    from k8sdiag.model import Unavailable
    from k8sdiag.readers.dns import Dns

    if conf.unknown_servers:
        raise Unavailable(conf.unknown_servers)
    return traces.live(made, Dns(timeout_seconds).ask)


def _where(conf: "Conf", *, live: bool) -> tuple[str, ...]:
    if not live:
        return ("nothing was asked (--live does): the answers are assumed",)
    if conf.here:
        return ()
    note = (
        "asked from this host: a pod may be answered otherwise (network policies, autopath, "
        "NodeLocal DNSCache); run k8sdiag in the pod to see what it sees"
    )
    return (note,)
