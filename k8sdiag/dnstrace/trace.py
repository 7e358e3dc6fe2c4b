"""One lookup by several resolvers: predicted, live, and what is wrong with either."""

import secrets
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.dnstrace import probe
from k8sdiag.dnstrace.network import Ask, Network
from k8sdiag.dnstrace.walk import Lookup, Walk
from k8sdiag.model import Finding, Unavailable
from k8sdiag.resolver import nameservers


class Trace(Struct, frozen=True, kw_only=True):
    lookup: Lookup
    source: str = ""  # of the resolv.conf
    notes: tuple[str, ...] = ()
    servers: tuple[str, ...]
    default_server: str = "default"  # what stands for one that the file does not name
    expected: tuple[Walk, ...]
    live: tuple[Walk, ...] = ()  # one for each of `expected`; empty if the network was not asked
    probes: tuple[probe.Probe, ...] = ()
    edns: tuple[probe.Edns, ...] = ()
    findings: tuple[Finding, ...] = ()


def predicted(lookup: Lookup, resolvers: Iterable[str], told: Mapping[str, str]) -> Trace:
    """Nothing is asked; `told` are answers as Lookup.assumed() takes them.

    Raises ValueError as predict() does.
    """
    walks = tuple(lookup.assumed(resolver, told) for resolver in dict.fromkeys(resolvers))
    return Trace(
        lookup=lookup,
        servers=nameservers(lookup.conf),
        expected=walks,
        findings=tuple(probe.of_walks(lookup, walks)),
    )


def live(made: Trace, ask: Ask) -> Trace:
    """The same lookups on the network, and the probes.

    Raises Unavailable when no question left this host, or when there were too many.
    """
    lookup = made.lookup
    network = Network(ask, lookup.conf)
    walks = tuple(network.walk(lookup, walk.resolver) for walk in made.expected)
    # Twelve random digits: nobody has this name, and no cache knows it.
    probes = probe.probe(lookup, network, f"k8sdiag-{secrets.token_hex(6)}")
    names = [p.qname for p in probes] or [s.qname for walk in walks for s in walk.steps]
    edns = probe.probe_edns(network, names[0]) if names else []
    replies = network.replies
    if replies and not any(reply.left for reply in replies):
        raise Unavailable(
            f"no query left this host: {replies[0].said}; --live asks from here, so the servers "
            f"({', '.join(network.servers)}) must be reachable from here"
        )
    return replace(
        made,
        live=walks,
        probes=tuple(probes),
        edns=tuple(edns),
        findings=(
            *probe.of_walks(lookup, walks),
            *probe.of_search(lookup, probes),
            *probe.of_edns(edns),
        ),
    )
