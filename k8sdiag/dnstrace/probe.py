"""What a network does to lookups: judged with names that nobody can have, by the resolver model.

A search domain must say NXDOMAIN to a name that does not exist. Whatever else it says ends or
lengthens the walks of some resolvers: which, the model tells.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from k8sdiag.dnstrace.network import Network
from k8sdiag.dnstrace.walk import Lookup, Reply, Walk
from k8sdiag.model import Finding, Remedy, Severity
from k8sdiag.resolver import predict
from k8sdiag.resolver.wire import MOST_SERVERS, parse_server

MODELED = {"glibc": "glibc", "musl": "musl (Alpine)", "go": "Go"}
_SOUND = ("ok", "nodata", "nxdomain")


class Probe(Struct, frozen=True, kw_only=True):
    """What one search domain says of a name that does not exist."""

    qname: str
    replies: Mapping[str, Reply]  # by type; a truncated one was asked again by TCP

    @property
    def domain(self) -> str:
        return self.qname.partition(".")[2]

    @property
    def said(self) -> str:
        """ "SERVFAIL", or each type by itself: "NXDOMAIN (A), NODATA (AAAA)"."""
        said = {qtype: reply.said for qtype, reply in self.replies.items()}
        if len(set(said.values())) == 1:
            return next(iter(said.values()))
        return ", ".join(f"{answer} ({qtype})" for qtype, answer in said.items())


class Edns(Struct, frozen=True, kw_only=True):
    """What one server says to the same question without and with an OPT record."""

    address: str
    qname: str
    plain: Reply
    edns: Reply


def speaking(network: Network) -> list[str]:
    """The first three servers, without those that are known to answer nothing."""
    addresses = [a for a in network.servers if parse_server(a.encode())][:MOST_SERVERS]
    return [a for a in dict.fromkeys(addresses) if network.speaks(a)]


def search_domains(lookup: Lookup, label: str) -> list[str]:
    """A name of this label below each search domain, in the order of the list."""
    found: dict[str, None] = {}
    for resolver in MODELED:
        done = predict(lookup.conf, label, lambda *_: "nxdomain", resolver=resolver, env=lookup.env)
        found |= dict.fromkeys(qname for qname, *_ in done.queries)
    return [qname for qname in found if qname != f"{label}."]


def probe(lookup: Lookup, network: Network, label: str) -> list[Probe]:
    """Ask the first server that speaks; A and AAAA of a name below each search domain."""
    found: list[Probe] = []
    for address in speaking(network)[:1]:
        for qname in search_domains(lookup, label):
            replies = {}
            for qtype in ("A", "AAAA"):
                reply = network.ask(qname, qtype, address)
                if reply and reply.word == "tc":
                    reply = network.ask(qname, qtype, address, tcp=True)
                if reply:
                    replies[qtype] = reply
            if len(replies) == 2:
                found.append(Probe(qname=qname, replies=replies))
    return found


def probe_edns(network: Network, qname: str) -> list[Edns]:
    found = []
    for address in speaking(network):
        plain = network.ask(qname, "A", address)
        edns = network.ask(qname, "A", address, edns=True)
        if plain and edns:
            found.append(Edns(address=address, qname=qname, plain=plain, edns=edns))
    return found


def of_search(lookup: Lookup, probes: list[Probe]) -> Iterator[Finding]:
    for made in probes:
        words = {qtype: reply.word for qtype, reply in made.replies.items()}
        if set(words.values()) == {"nxdomain"}:
            continue
        found = [a for reply in made.replies.values() for a in reply.addresses]
        if found:
            yield Finding(
                code="dns-trace/wildcard",
                severity=Severity.CRITICAL,
                subject=f"domain/{made.domain}",
                message=f"{made.domain} gives {found[0]} for a name that does not exist: lookups "
                "that walk the search list end there with a wrong address, in every resolver",
                remedy=_out_of_the_list(made),
            )
            continue
        broken, dearer = _effects(lookup, made, words)
        effect = f"fails in {_and(broken)}" if broken else "works"
        effect += "".join(f", takes {more} more in {names}" for more, names in dearer.items())
        yield Finding(
            code="dns-trace/search-domain",
            severity=Severity.CRITICAL if broken else Severity.WARNING,
            subject=f"domain/{made.domain}",
            message=f"{made.domain} says {made.said} of a name that does not exist, not NXDOMAIN: "
            f"a lookup that walks past it {effect}",
            remedy=_out_of_the_list(made),
        )


def _effects(
    lookup: Lookup, made: Probe, words: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Resolvers whose lookup fails at this domain; others by how many queries more they send."""
    label = made.qname.partition(".")[0]
    as_is = f"{label}."

    def past(domain: Mapping[str, str]) -> Mapping[str, tuple[bool, int]]:
        def answer(qname: str, qtype: str, *_: object) -> str:
            if qname == made.qname:
                return domain[qtype]
            return "ok" if qname == as_is else "nxdomain"

        found = {
            r: predict(lookup.conf, label, answer, resolver=r, env=lookup.env) for r in MODELED
        }
        return {r: (done.ok, len(done.queries)) for r, done in found.items()}

    before, after = past({"A": "nxdomain", "AAAA": "nxdomain"}), past(words)
    broken = [MODELED[r] for r in MODELED if before[r][0] and not after[r][0]]
    more: dict[str, list[str]] = {}
    for resolver, (ok, queries) in after.items():
        if ok and queries > before[resolver][1]:
            count = queries - before[resolver][1]
            more.setdefault(f"{count} queries", []).append(MODELED[resolver])
    return broken, {count: _and(names) for count, names in more.items()}


def _out_of_the_list(made: Probe) -> Remedy:
    domain = made.domain.removesuffix(".")
    return Remedy(
        summary=f"make the server of {domain} answer NXDOMAIN to names that do not exist, or take "
        f"{domain} out of the search list: out of the nodes' resolv.conf, or for one workload "
        "with dnsPolicy None and a list of its own"
    )


def of_edns(found: list[Edns]) -> Iterator[Finding]:
    for made in found:
        if made.plain.word in _SOUND and made.edns.word not in (*_SOUND, "tc"):
            yield Finding(
                code="dns-trace/edns",
                severity=Severity.CRITICAL,
                subject=f"nameserver/{made.address}",
                message=f"{made.address} answers {made.plain.said} for {made.qname}, but "
                f"{made.edns.said} when the query carries EDNS0: Go sends it always and without a "
                "fallback, so lookups of Go programs through this server fail",
                remedy=Remedy(
                    summary=f"have {made.address} updated or what stands before it (a firewall, a "
                    "load balancer) let EDNS0 pass; it is RFC 6891 of 2013"
                ),
            )


def of_walks(lookup: Lookup, walks: Sequence[Walk]) -> Iterator[Finding]:
    """Lookups that give no address, with the name that would have one if another walk found it."""
    found = next((walk.found for walk in walks if walk.found), "")
    failed: dict[str, list[str]] = {}
    for walk in walks:
        if not walk.ok:
            failed.setdefault(_end(walk), []).append(walk.resolver)
    for end, resolvers in failed.items():
        direct = bool(found) and all(
            predict(lookup.conf, found, lambda *_: "ok", resolver=r, family=lookup.family).ok
            for r in resolvers
        )
        yield Finding(
            code="dns-trace/fails",
            severity=Severity.CRITICAL,
            subject=f"name/{lookup.name}",
            message=f'no address for "{lookup.name}" in {_and(resolvers)}: {end}',
            remedy=Remedy(summary=f"write the full name, {found}") if direct else None,
        )


def _end(walk: Walk) -> str:
    if not walk.steps:
        return "no query is sent, for the name or the file allows none"
    last = walk.steps[-1]
    said = last.reply.said if last.reply else last.word
    return f"the walk ends after {walk.queries} queries at {last.qname} {last.qtype} ({said})"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
