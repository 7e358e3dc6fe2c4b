"""Traces: what is assumed, what a network answers, and what is made of both."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from k8sdiag.commands.dnsview import text
from k8sdiag.dnstrace import probe as dnsprobe
from k8sdiag.dnstrace import trace
from k8sdiag.dnstrace.document import document
from k8sdiag.dnstrace.network import MOST_QUESTIONS, Network
from k8sdiag.dnstrace.walk import Lookup, in_columns, side_by_side
from k8sdiag.model import Finding, Severity, Unavailable
from k8sdiag.resolver import FAMILIES, RESOLVERS, WORDS, nameservers, sends_edns
from tests.test_resolver import hostile

POD = "nameserver 10.96.0.10\nsearch a.example b.example\noptions ndots:5\n"
WWW = "www.example.com"
LABEL = "k8sdiag-0123456789ab"


@dataclass(frozen=True)
class Heard:
    word: str
    said: str = ""
    seconds: float = 0.001
    addresses: tuple[str, ...] = ()
    alias: str = ""
    left: bool = True


Told = Callable[[str, str, str, bool, bool], str]  # (qname, qtype, address, tcp, edns) -> word


class Servers:
    """Stand for the network; what they were asked is kept."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.asked: list[tuple[str, str, str, bool, bool]] = []

    def ask(
        self, address: str, qname: str, qtype: str, *, tcp: bool = False, edns: bool = False
    ) -> Heard:
        question = (qname, qtype, address, tcp, edns)
        self.asked.append(question)
        word = self._told(*question)
        return Heard(word, word.upper(), addresses=("192.0.2.1",) if word == "ok" else ())


def only(*names: str) -> Told:
    return lambda qname, *_: "ok" if qname in names else "nxdomain"


def traced(told: Told, conf: str = POD, name: str = WWW) -> tuple[Lookup, Network, Servers]:
    servers = Servers(told)
    return Lookup(conf=conf, name=name), Network(servers.ask, conf), servers


def test_unless_told_otherwise_the_name_itself_exists() -> None:
    lookup = Lookup(conf=POD, name=WWW)

    walk = lookup.assumed("glibc", {})
    told = lookup.assumed("glibc", {"www.example.com.b.example.": "ok"})

    assert (walk.ok, walk.found, walk.queries, walk.needed) == (True, f"{WWW}.", 6, 2)
    assert (told.found, told.queries, told.needed) == ("www.example.com.b.example.", 4, 2)


def test_what_is_told_to_fail_leaves_the_name_as_it_is() -> None:
    walk = Lookup(conf=POD, name=WWW).assumed("musl", {"www.example.com.a.example.": "servfail"})

    assert not walk.ok
    assert {step.word for step in walk.steps} == {"servfail"}


def test_the_network_s_answers_drive_the_walk() -> None:
    lookup, network, servers = traced(only(f"{WWW}.a.example."))

    walk = network.walk(lookup, "glibc")

    assert [(q, t) for q, t, *_ in servers.asked] == [
        ("www.example.com.a.example.", "A"),
        ("www.example.com.a.example.", "AAAA"),
    ]
    assert walk.ok
    assert all(step.reply for step in walk.steps)


def test_the_same_question_of_several_resolvers_goes_out_once() -> None:
    lookup, network, servers = traced(only(f"{WWW}."))

    walks = [network.walk(lookup, resolver) for resolver in ("glibc", "musl", "go")]

    assert [walk.queries for walk in walks] == [6, 6, 6]
    # Go's carry EDNS0 and are other questions.
    assert len(servers.asked) == len(set(servers.asked)) == 12


def test_a_repeat_goes_out_anew() -> None:
    lookup, network, servers = traced(lambda *_: "servfail", "nameserver 10.96.0.10\n")

    network.walk(lookup, "glibc")

    assert [(q, t) for q, t, *_ in servers.asked] == [(f"{WWW}.", "A"), (f"{WWW}.", "AAAA")] * 2


def test_a_truncated_answer_is_repeated_by_tcp_in_a_row_of_its_own() -> None:
    lookup, network, _ = traced(
        lambda _, __, ___, tcp, ____: "ok" if tcp else "tc", "nameserver 10.96.0.10\n"
    )

    walk = network.walk(lookup, "musl")

    assert walk.ok
    assert [step.transport for step in walk.steps] == ["udp", "udp", "tcp", "tcp"]


def test_a_server_that_is_silent_is_left_alone() -> None:
    lookup, network, servers = traced(lambda *_: "timeout")

    walk = network.walk(lookup, "glibc")

    assert not walk.ok
    assert len(servers.asked) == 3
    assert [step.reply is None for step in walk.steps[3:]] == [True] * (len(walk.steps) - 3)


def test_a_lookup_without_end_is_given_up() -> None:
    many = " ".join(f"d{i}.example" for i in range(MOST_QUESTIONS))
    lookup, network, _ = traced(only(), POD + f"search {many}\n")

    with pytest.raises(Unavailable, match="gave up after 300 queries"):
        network.walk(lookup, "glibc")


def test_walks_that_part_are_shown_beside_each_other() -> None:
    lookup, network, _ = traced(
        lambda qname, *_: (
            "servfail" if ".a." in qname else only(f"{WWW}.")(qname, "", "", False, False)
        )
    )

    rows = side_by_side(lookup.assumed("glibc", {}), network.walk(lookup, "glibc"))

    assert [bool(row.predicted) for row in rows].count(False) == 2  # asked again after SERVFAIL
    assert all(row.live for row in rows)


def test_columns_tell_who_sends_what_and_when() -> None:
    lookup = Lookup(conf=POD.replace("ndots:5", "ndots:1"), name="db.shop")
    told = {"db.shop.a.example.": "ok"}

    found = in_columns([lookup.assumed("glibc", told), lookup.assumed("musl", told)])

    assert found["db.shop.", "A", 0, "udp"] == [[1], [1]]
    assert found["db.shop.a.example.", "A", 0, "udp"] == [[3], []]


@pytest.mark.parametrize(
    ("conf", "found"),
    [
        ("", ("127.0.0.1",)),
        ("nameserver 10.0.0.1\nnameserver 10.0.0.1\n", ("10.0.0.1", "10.0.0.1")),
        ("nameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("nameserver 127.1\nnameserver x\n", ("127.0.0.1", "x")),
    ],
)
def test_the_servers_of_a_file(conf: str, found: tuple[str, ...]) -> None:
    assert nameservers(conf) == found


def test_who_sends_edns() -> None:
    sent = [sends_edns("options edns0\n", resolver) for resolver in RESOLVERS]

    assert dict(zip(RESOLVERS, sent, strict=True)) == {
        "glibc": True,
        "musl": False,
        "musl-1.2.3": False,
        "go": True,
    }
    assert not sends_edns(POD, "glibc")


def probed(told: Told, conf: str = POD) -> list[Finding]:
    lookup, network, _ = traced(told, conf)
    return list(dnsprobe.of_search(lookup, dnsprobe.probe(lookup, network, LABEL)))


@pytest.mark.parametrize(
    ("told", "conf"),
    [
        pytest.param(only(f"{WWW}."), POD, id="NXDOMAIN of all"),
        pytest.param(lambda *_: "servfail", "nameserver 10.96.0.10\n", id="no search list"),
        pytest.param(
            lambda *_: "ok", "nameserver 10.96.0.10\nsearch .\n", id="a list that is switched off"
        ),
    ],
)
def test_quiet(told: Told, conf: str) -> None:
    assert probed(told, conf) == []


@pytest.mark.parametrize(
    ("word", "severity", "says"),
    [
        ("nodata", Severity.CRITICAL, "fails in musl (Alpine)"),
        (
            "servfail",
            Severity.CRITICAL,
            "fails in musl (Alpine), takes 2 queries more in glibc and Go",
        ),
        ("refused", Severity.CRITICAL, "fails in musl (Alpine), takes 2 queries more in Go"),
        ("formerr", Severity.CRITICAL, "fails in musl (Alpine), takes 2 queries more in Go"),
    ],
)
def test_a_search_domain_that_says_otherwise(word: str, severity: Severity, says: str) -> None:
    (finding,) = probed(lambda qname, *_: word if qname == f"{LABEL}.a.example." else "nxdomain")

    assert (finding.code, finding.severity) == ("dns-trace/search-domain", severity)
    assert finding.subject == "domain/a.example."
    assert finding.message.endswith(f"a lookup that walks past it {says}")


def test_nxdomain_for_one_type_alone_breaks_nobody_at_a_name_that_is_nowhere() -> None:
    (finding,) = probed(
        lambda qname, qtype, *_: "nodata" if ".a." in qname and qtype == "A" else "nxdomain"
    )

    assert "NODATA (A), NXDOMAIN (AAAA)" in finding.message
    assert finding.severity is Severity.WARNING
    assert finding.message.endswith("walks past it works")


def test_a_wildcard() -> None:
    (finding,) = probed(lambda qname, *_: "ok" if ".b." in qname else "nxdomain")

    assert finding.code == "dns-trace/wildcard"
    assert "b.example. gives 192.0.2.1" in finding.message


def test_a_second_server_is_probed_where_the_first_is_silent() -> None:
    two = "nameserver 10.96.0.9\n" + POD
    lookup, network, servers = traced(
        lambda q, t, address, *_: "timeout" if address == "10.96.0.9" else "nxdomain", two
    )
    network.walk(lookup, "glibc")
    before = len(servers.asked)

    probes = dnsprobe.probe(lookup, network, LABEL)

    assert len(probes) == 2
    assert {address for _, _, address, *_ in servers.asked[before:]} == {"10.96.0.10"}


def test_a_server_that_takes_no_edns_breaks_go() -> None:
    _, network, _ = traced(lambda *question: "formerr" if question[4] else "nxdomain")

    (finding,) = dnsprobe.of_edns(dnsprobe.probe_edns(network, f"{WWW}."))

    assert finding.subject == "nameserver/10.96.0.10"
    assert "FORMERR when the query carries EDNS0" in finding.message


@pytest.mark.parametrize("word", ["nxdomain", "servfail"])
def test_a_server_that_answers_alike_with_edns_is_fine(word: str) -> None:
    _, network, _ = traced(lambda *_: word)

    assert list(dnsprobe.of_edns(dnsprobe.probe_edns(network, f"{WWW}."))) == []


def test_a_failing_lookup_is_told_the_name_that_works() -> None:
    lookup = Lookup(conf=POD.replace("ndots:5", "ndots:1"), name="db.shop")
    walks = [lookup.assumed(r, {"db.shop.a.example.": "ok"}) for r in ("glibc", "musl", "go")]

    (finding,) = dnsprobe.of_walks(lookup, walks)

    assert finding.message == (
        'no address for "db.shop" in musl: '
        "the walk ends after 2 queries at db.shop. AAAA (nxdomain)"
    )
    assert finding.remedy
    assert finding.remedy.summary == "write the full name, db.shop.a.example."


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_any_file_and_any_name_make_a_trace(seed: int, live: bool) -> None:
    rng = random.Random(seed)
    words = sorted(WORDS)
    for _ in range(60):
        conf, name = hostile(rng)
        lookup = Lookup(conf=conf, name=name, family=rng.choice(list(FAMILIES)))
        chosen = rng.sample(RESOLVERS, rng.randrange(1, 4))
        salt = rng.random()
        servers = Servers(lambda *q, salt=salt: random.Random(f"{salt}{q}").choice(words))
        made = trace.predicted(lookup, chosen, {})
        if live:
            try:
                made = trace.live(made, servers.ask)
            except Unavailable:
                continue

        shown = [text(made, "table"), text(made, "markdown")]
        found = json.loads(document(made))

        assert all(line.isprintable() for each in shown for line in each.split("\n"))
        shown[0].encode()
        for key, walk in zip(("predicted", "live"), (made.expected, made.live), strict=True):
            assert [len(w["steps"]) for w in found[key]] == [len(w.steps) for w in walk]
