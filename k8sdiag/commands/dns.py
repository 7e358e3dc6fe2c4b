"""dns trace: what a lookup of a name sends, by the resolver model and on the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k8sdiag.commands.options import API, EXISTING

if TYPE_CHECKING:
    from k8sdiag.dnsconf import Conf
    from k8sdiag.dnstrace import Lookup, Walk
    from k8sdiag.dnsview import Trace

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
    from k8sdiag import dnsview
    from k8sdiag.dnstrace import Lookup
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
            expected = tuple(
                lookup.assumed(r, told) for r in dict.fromkeys(resolvers or conf.resolvers)
            )
        if live:
            made = _live(conf, lookup, expected, timeout_seconds)
        else:
            made = _static(conf, lookup, expected)
    except Unavailable as error:
        click.echo(f"k8sdiag: {line(str(error))}", err=True)
        return NOT_JUDGED
    click.echo(dnsview.document(made) if output == "json" else dnsview.text(made, output))
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

    from k8sdiag import dnsconf
    from k8sdiag.readers.kubernetes import Kubernetes

    if resolv_conf:
        return dnsconf.of_file(resolv_conf)
    if not (pod or namespace):
        return dnsconf.of_host()
    before, _, pod_name = (pod or "").rpartition("/")
    if before and namespace and before != namespace:
        raise click.UsageError(f"--pod {pod} is not in --namespace {namespace}")
    with closing(Kubernetes.open(kubeconfig, context)) as door:
        return dnsconf.of_pod(door, before or namespace or "default", pod_name, node_resolv_conf)


def _static(conf: "Conf", lookup: "Lookup", expected: "tuple[Walk, ...]") -> "Trace":
    from k8sdiag.dnsprobe import of_walks
    from k8sdiag.dnsview import Trace
    from k8sdiag.resolver import nameservers

    return Trace(
        lookup=lookup,
        source=conf.source,
        notes=(*conf.notes, "nothing was asked (--live does): the answers are assumed"),
        servers=nameservers(lookup.conf),
        default_server="unknown" if conf.unknown_servers else "default",
        expected=expected,
        findings=tuple(of_walks(lookup, expected)),
    )


def _live(
    conf: "Conf", lookup: "Lookup", expected: "tuple[Walk, ...]", timeout_seconds: float
) -> "Trace":
    """Raises Unavailable when nothing could be asked."""
    import secrets

    from k8sdiag import dnsprobe
    from k8sdiag.dnstrace import Network
    from k8sdiag.dnsview import Trace
    from k8sdiag.model import Unavailable
    from k8sdiag.readers.dns import Dns

    if conf.unknown_servers:
        raise Unavailable(conf.unknown_servers)
    network = Network(Dns(timeout_seconds).ask, lookup.conf)
    with _as_usage_error():
        walks = tuple(lookup.live(walk.resolver, network) for walk in expected)
    # Twelve random letters: nobody has this name, and no cache knows it.
    label = f"k8sdiag-{secrets.token_hex(6)}"
    probes = dnsprobe.probe(lookup, network, label)
    names = [probe.qname for probe in probes] or [s.qname for walk in walks for s in walk.steps]
    edns = dnsprobe.probe_edns(network, names[0]) if names else []
    replies = network.replies
    if replies and not any(reply.left for reply in replies):
        raise Unavailable(
            f"no query left this host: {replies[0].said}; --live asks from here, so the servers "
            f"({', '.join(network.servers)}) must be reachable from here"
        )
    return Trace(
        lookup=lookup,
        source=conf.source,
        notes=(*conf.notes, *_where(conf)),
        servers=network.servers,
        expected=expected,
        live=walks,
        probes=tuple(probes),
        edns=tuple(edns),
        findings=(
            *dnsprobe.of_walks(lookup, walks),
            *dnsprobe.of_search(lookup, probes),
            *dnsprobe.of_edns(edns),
        ),
    )


def _where(conf: "Conf") -> tuple[str, ...]:
    if conf.here:
        return ()
    note = (
        "asked from this host: a pod may be answered otherwise (network policies, autopath, "
        "NodeLocal DNSCache); run k8sdiag in the pod to see what it sees"
    )
    return (note,)
