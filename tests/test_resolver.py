"""The resolver model against what real resolvers sent, and against its own promises."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.resolver import FAMILIES, RESOLVERS, Answer, predict
from k8sdiag.resolver.wire import WORDS

RECORDED = sorted((Path(__file__).parent / "testdata/dns").glob("*_cases.jsonl.gz"))
MODELED = {
    "glibc": "glibc",
    "glibc-python": "glibc",
    "go": "go",
    "musl-1.2.5": "musl",
    "musl-1.2.3": "musl-1.2.3",
}
Case = dict[str, Any]


def recorded() -> dict[tuple[str, int], list[Case]]:
    """The cases that run the same way each time, by resolver and tier."""
    groups: dict[tuple[str, int], list[Case]] = {}
    for path in RECORDED:
        with gzip.open(path, "rt") as lines:
            for case in map(json.loads, lines):
                if case["libc"] in MODELED and case["deterministic"]:
                    groups.setdefault((MODELED[case["libc"]], case["tier"]), []).append(case)
    return groups


def servers(case: Case) -> Answer:
    """The servers of a recorded case: the first rule that matches a query answers it."""
    behaviour = case["server_behaviour"]
    edns = case["libc"] == "go" or "edns0" in case["resolv_conf"]
    asked: Counter[tuple[str, str, int]] = Counter()

    def answer(qname: str, qtype: str, server: int, transport: str) -> str:
        asked[qname, qtype, server] += 1
        if server in case.get("closed_servers", ()):
            return "closed"
        told = {"qtype": qtype, "server": server, "transport": transport, "edns": edns}
        told |= {"qname": qname.lower(), "nth": asked[qname, qtype, server]}
        word: str = behaviour["default"]
        for rule in behaviour["rules"]:
            suffix = rule.get("suffix", "")
            same = all(told[k] == v for k, v in rule.items() if k not in ("suffix", "do"))
            if same and qname.lower().endswith(suffix):
                word = rule["do"]
                break
        return {"a_only": "ok" if qtype == "A" else "nodata"}.get(word, word)

    return answer


@pytest.mark.parametrize(
    ("resolver", "tier", "cases"),
    [pytest.param(*k, v, id=f"{k[0]} tier {k[1]}") for k, v in sorted(recorded().items())],
)
def test_it_sends_what_the_real_one_sent(resolver: str, tier: int, cases: list[Case]) -> None:
    wrong = {}
    for case in cases:
        found = predict(
            case["resolv_conf"],
            case["name"],
            servers(case),
            resolver=resolver,
            family=case["family"],
            env=case.get("env", {}),
        )
        if ([list(q) for q in found.queries], found.ok) != (case["queries"], case["result"]["ok"]):
            wrong[case["id"]] = found

    assert len(cases) > 30
    assert wrong == {}


CONF = "nameserver 10.96.0.10\nsearch a.example b.example\noptions ndots:5\n"


def nowhere(*_: object) -> str:
    return "nxdomain"


def only(qname: str) -> Answer:
    return lambda asked, *_: "ok" if asked == qname else "nxdomain"


def sent(conf: str, name: str, answer: Answer, **how: Any) -> list[tuple[str, str, int]]:
    return list(predict(conf, name, answer, **how).queries)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_name_with_a_dot_at_its_end_is_asked_once(resolver: str) -> None:
    found = predict(CONF, "db.b.", only("db.b."), resolver=resolver)

    assert found.queries == (("db.b.", "A", 0), ("db.b.", "AAAA", 0))
    assert found.ok


@pytest.mark.parametrize(
    ("resolver", "finds"), [("glibc", True), ("go", True), ("musl", False), ("musl-1.2.3", False)]
)
def test_musl_never_searches_for_a_name_with_ndots_dots(resolver: str, finds: bool) -> None:
    conf = CONF.replace("ndots:5", "ndots:2")

    assert predict(conf, "db.x.svc", only("db.x.svc.a.example."), resolver=resolver).ok is finds


def test_single_request_never_asks_for_aaaa_after_a_server_failed() -> None:
    conf = "nameserver 10.96.0.10\noptions single-request attempts:1\n"

    assert sent(conf, "db.b", lambda *_: "servfail") == [("db.b.", "A", 0)]


def test_a_lost_aaaa_is_given_up_after_three_tries_and_at_once_from_then_on() -> None:
    def lost(_: str, qtype: str, *__: object) -> str:
        return "timeout" if qtype == "AAAA" else "nxdomain"

    found = sent("nameserver 10.96.0.10\nsearch a.example\n", "db.b", lost)

    assert Counter(qname for qname, *_ in found) == {"db.b.": 6, "db.b.a.example.": 2}


@pytest.mark.parametrize(
    ("options", "rounds"),
    [("", 2), ("attempts:3", 3), ("timeout:1 attempts:6", 7), ("timeout:0", 0), ("attempts:0", 0)],
)
def test_musl_asks_again_until_its_time_is_over(options: str, rounds: int) -> None:
    conf = f"nameserver 10.96.0.10\noptions {options}\n"

    found = sent(conf, "db.b", lambda *_: "timeout", resolver="musl", family="AF_INET")

    assert len(found) == rounds


def test_a_lookup_without_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="lower attempts"):
        predict(CONF + "options attempts:9999999\n", "db", lambda *_: "timeout", resolver="go")


def test_a_query_that_nobody_hears_is_not_sent() -> None:
    conf = "nameserver 10.96.0.10\nnameserver 10.96.0.11\n"

    found = sent(conf, "db.b", lambda *q: "closed" if q[2] == 0 else "ok", family="AF_INET")

    assert found == [("db.b.", "A", 1)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(lambda: predict(CONF, "db", nowhere, resolver="bind"), "bind", id="resolver"),
        pytest.param(lambda: predict(CONF, "db", nowhere, family="inet"), "inet", id="family"),
        pytest.param(lambda: predict(CONF, "db", lambda *_: "yes"), "'yes'", id="answer"),
        pytest.param(lambda: predict(CONF, "d\0b", nowhere), "the name.*NUL", id="NUL"),
        pytest.param(lambda: predict(CONF, "\ud800", nowhere), "no byte", id="no byte"),
    ],
)
def test_what_makes_no_sense_is_said(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


WORDS_OF_A_FILE = (
    "nameserver nameserver search search domain options sortlist # ; . .. 127.1 ::1 fe80::1%eth0 "
    "10.0.0.300 ndots:5 ndots:-1 ndots: ndots:99999999999999999999999 attempts:0 attempts:7 "
    "timeout:0 rotate use-vc no-aaaa single-request no-tld-query a.example b.example. x..y "
    f"{'l' * 64} {'k.' * 130} \udcff \r \x0b \t \\ \\065 é"
).split(" ")
HOSTILE = 'abz09-_.. \t\\"();@$%:/\r\n\x01\x7fé\udc80\udcff€'


def hostile(rng: random.Random) -> tuple[str, str]:
    lines = [" ".join(rng.choices(WORDS_OF_A_FILE, k=rng.randrange(9))) for _ in range(6)]
    if rng.random() < 0.2:
        lines.append("".join(rng.choices(HOSTILE, k=rng.randrange(600))))
    name = "".join(rng.choices(HOSTILE, k=rng.choice((0, 1, 5, 20, 300))))
    return rng.choice(("\n", "\n", "\r\n")).join(lines), name


@pytest.mark.parametrize("seed", range(4))
def test_any_file_and_any_name_have_a_result(seed: int) -> None:
    rng = random.Random(seed)
    words = sorted(WORDS)
    for _ in range(500):
        conf, name = hostile(rng)
        resolver, family = rng.choice(RESOLVERS), rng.choice(list(FAMILIES))
        seeds = rng.random()

        def answer(*query: object, seeds: float = seeds) -> str:
            return random.Random(f"{seeds}{query}").choice(words)

        first = predict(conf, name, answer, resolver=resolver, family=family)
        again = predict(conf, name, answer, resolver=resolver, family=family)

        assert first == again
        assert all(server < 4 + 6 * 9 for *_, server in first.queries)
        assert all(qtype in (*FAMILIES[family], "A", "?") for _, qtype, _ in first.queries)
        assert len(first.queries) < 5000
        if first.ok and first.queries:
            assert "ok" in {answer(*q, via) for q in first.queries for via in ("udp", "tcp")}


@pytest.mark.parametrize("seed", range(4))
def test_fewer_dots_wanted_never_cost_more_for_a_name_that_exists_as_it_is(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        domains = [f"d{i}.example" for i in range(rng.randrange(7))]
        name = ".".join(rng.choices("abc", k=rng.randrange(1, 7)))
        resolver = rng.choice(RESOLVERS)
        counts = [
            len(
                sent(
                    f"nameserver 10.0.0.1\nsearch {' '.join(domains)}\noptions ndots:{ndots}\n",
                    name,
                    only(name + "."),
                    resolver=resolver,
                )
            )
            for ndots in (5, 2, 1)
        ]

        assert counts == sorted(counts, reverse=True)
