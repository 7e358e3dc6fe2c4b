"""The resolver model predicts what this machine's resolvers send: real ones, real packets."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from k8sdiag.resolver import FAMILIES, predict
from tests.real import netns, resolvers
from tests.real.components import ROOT
from tests.real.conftest import required
from tests.real.resolver_guesses import guesses
from tests.real.resolver_lab import Script

Rules = list[dict[str, Any]]
Query = tuple[str, str, int]

SERVERS = "".join(f"nameserver 127.0.53.{n}\n" for n in (1, 2, 3))
ONE = "nameserver 127.0.53.1\n"
SEARCH = "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
POD = ONE + SEARCH + "options ndots:5\n"
TWO_DOTS = ONE + SEARCH + "options ndots:2\n"
WWW = "www.example.com"
# musl waits out its timeout where others take a failure for an answer.
FAST = ONE + SEARCH + "options ndots:5 timeout:1\n"


def only(*names: str) -> Rules:
    """These names exist, and no other."""
    return [{"qname": f"{name}.", "do": "ok"} for name in names]


def first(word: str, **more: str) -> Rules:
    """The first search domain answers so; the name itself exists."""
    return [{"suffix": ".shop.svc.cluster.local.", "do": word, **more}, *only(WWW)]


# id: (resolv.conf, name, rules); what no rule names is NXDOMAIN
CASES: dict[str, tuple[str, str, Rules]] = {
    "a Service of the same namespace": (POD, "db", only("db.shop.svc.cluster.local")),
    "a Service of another namespace": (POD, "db.pay", only("db.pay.svc.cluster.local")),
    "svc.ns.svc": (POD, "db.pay.svc", only("db.pay.svc.cluster.local")),
    "a full name without a dot at its end": (
        POD,
        "db.pay.svc.cluster.local",
        only("db.pay.svc.cluster.local"),
    ),
    "a full name with a dot at its end": (
        POD,
        "db.pay.svc.cluster.local.",
        only("db.pay.svc.cluster.local"),
    ),
    "an external name": (POD, WWW, only(WWW)),
    "an external name with a dot at its end": (POD, f"{WWW}.", only(WWW)),
    "five dots": (POD, "a.b.c.d.e.f", only("a.b.c.d.e.f")),
    "a name that is nowhere": (POD, "nohost.example.com", []),
    "ndots:2, svc.ns": (TWO_DOTS, "db.pay", only("db.pay.svc.cluster.local")),
    "ndots:2, svc.ns.svc": (TWO_DOTS, "db.pay.svc", only("db.pay.svc.cluster.local")),
    "ndots:2, an external name": (TWO_DOTS, WWW, only(WWW)),
    "ndots:2, nowhere": (TWO_DOTS, WWW, []),
    "ndots as it is by default": (ONE + SEARCH, "db.pay", only("db.pay.svc.cluster.local")),
    "ndots above 15": (ONE + SEARCH + "options ndots:99\n", ".".join("abcdefghijklmnop"), []),
    "no search list": (ONE, WWW, only(WWW)),
    "a domain line after the search line": (POD + "domain corp.example\n", "db", []),
    "the last of two search lines": (POD + "search corp.example\n", "db", []),
    "a search list switched off": (ONE + "search .\noptions ndots:5 timeout:1\n", WWW, only(WWW)),
    "no nameserver line": (SEARCH, "db", only("db.shop.svc.cluster.local")),
    "seven search domains": (
        ONE + "search " + " ".join(f"d{n}.example" for n in range(7)) + "\noptions ndots:5\n",
        WWW,
        only(WWW),
    ),
    "a search line of 256 bytes": (
        ONE + f"search {'d' * 60}.{'e' * 60}.{'f' * 60} {'g' * 62}.x\noptions ndots:5\n",
        WWW,
        only(WWW),
    ),
    "blanks before a line": (ONE + " search corp.example\n\toptions ndots:5\n", WWW, only(WWW)),
    "case is kept": (POD, "WWW.Example.com", [{"qname": "WWW.Example.com.", "do": "ok"}]),
    "an underscore": (POD, "_x.example.com", only("_x.example.com")),
    "an empty label": (POD, "a..b", []),
    "a label of 64 bytes": (POD, "x" * 64 + ".b", []),
    "an address": (POD, "192.0.2.7", []),
    "A only": (POD, WWW, [{"qname": f"{WWW}.", "qtype": "A", "do": "ok"}]),
    "A only, AAAA empty": (
        POD,
        WWW,
        [{"qname": f"{WWW}.", "qtype": "AAAA", "do": "nodata"}, *only(WWW)],
    ),
    "NODATA of a search domain": (POD, WWW, first("nodata")),
    "SERVFAIL of a search domain": (FAST, WWW, first("servfail")),
    "REFUSED of a search domain": (FAST, WWW, first("refused")),
    "NOTIMP of a search domain": (FAST, WWW, first("notimp")),
    "FORMERR of a search domain": (FAST, WWW, first("formerr")),
    "a search domain that takes any name": (POD, WWW, first("ok")),
    "NXDOMAIN for AAAA of all names": (POD, WWW, [{"qtype": "A", "do": "ok"}]),
    "SERVFAIL for AAAA of a search domain": (FAST, WWW, first("servfail", qtype="AAAA")),
    "SERVFAIL once": (
        POD,
        WWW,
        [{"nth": 1, "suffix": ".shop.svc.cluster.local.", "do": "servfail"}, *only(WWW)],
    ),
    "a truncated answer": (
        POD,
        WWW,
        [{"qname": f"{WWW}.", "transport": "udp", "do": "tc"}, *only(WWW)],
    ),
    "a truncated answer to A": (
        POD,
        WWW,
        [{"qname": f"{WWW}.", "transport": "udp", "qtype": "A", "do": "tc"}, *only(WWW)],
    ),
    "three servers": (SERVERS + SEARCH + "options ndots:5\n", "db.pay", []),
    "a fourth server": (SERVERS + "nameserver 127.0.0.1\n" + SEARCH, "db.pay", []),
    "three servers that fail": (SERVERS + "options timeout:1\n", WWW, [{"do": "servfail"}]),
    "an option for each query by itself": (POD + "options single-request\n", WWW, only(WWW)),
    "a socket for each query": (POD + "options single-request-reopen\n", WWW, only(WWW)),
    "TCP alone": (POD + "options use-vc\n", WWW, only(WWW)),
    "no AAAA": (POD + "options no-aaaa\n", WWW, only(WWW)),
    "one attempt": (FAST + "options attempts:1\n", WWW, [{"do": "servfail"}]),
    "no attempt": (POD + "options attempts:0\n", WWW, only(WWW)),
    "silence": (ONE + "options timeout:1 attempts:1\n", WWW, [{"do": "timeout"}]),
    "silence of a search domain": (
        ONE + "search x.example\noptions ndots:5 timeout:1 attempts:1\n",
        WWW,
        [{"suffix": ".x.example.", "do": "timeout"}, *only(WWW)],
    ),
}
ENVIRONMENTS = {
    "RES_OPTIONS": ({"RES_OPTIONS": "ndots:1"}, POD, WWW, only(WWW)),
    "LOCALDOMAIN": ({"LOCALDOMAIN": "corp.example"}, POD, "db", only("db.corp.example")),
}


def run(command: list[str], jobs: list[dict[str, Any]], folder: Path) -> list[Any]:
    """What the servers of each job were asked, and whether the program had an address.

    In a namespace without a cable. There AI_ADDRCONFIG, which getent sets, drops no AAAA, as it
    does on a host whose only addresses are IPv4: a loopback does not count for either.
    """
    runs = [
        {
            "command": [word.format(**job) for word in command],
            "env": {},
            "default": "nxdomain",
            **job,
        }
        for job in jobs
    ]
    with netns.made(folder) as namespace:
        lab = [sys.executable, "-m", "tests.real.resolver_lab"]
        done = subprocess.run(
            namespace.command("unshare", "--mount", "--uts", *lab),
            input=json.dumps({"folder": str(folder), "runs": runs}),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


def in_order(queries: list[list[Any]]) -> list[Query]:
    """Go's A and AAAA race: name by name, first tries before second ones, A before AAAA."""
    found: list[Query] = []
    while queries:
        name = queries[0][0]
        same = next((i for i, q in enumerate(queries) if q[0] != name), len(queries))
        tries = [[q for q in queries[:same] if q[1] == qtype] for qtype in ("A", "AAAA")]
        for i in range(same):
            found += [tuple(q[i]) for q in tries if i < len(q)]
        queries = queries[same:]
    return found


def wrong(resolver: str, jobs: list[dict[str, Any]], results: list[Any]) -> dict[str, Any]:
    """The jobs of which the model says something else than what happened."""
    found = {}
    for job, result in zip(jobs, results, strict=True):
        script = Script(job["rules"], "nxdomain")
        predicted = predict(
            job["resolv_conf"],
            job["name"],
            script.answer,
            resolver=resolver,
            family=job["family"],
            env=job.get("env", {}),
        )
        queries = [tuple(query) for query in result["queries"]]
        if resolver == "go":
            queries = in_order(result["queries"])
        if (list(predicted.queries), predicted.ok) != (queries, result["ok"]):
            found[f"{job['id']}, {job['family']}"] = {
                "predicted": (predicted.ok, predicted.queries),
                "sent": (result["ok"], queries),
            }
    return found


def jobs_of(families: Sequence[str] = tuple(FAMILIES)) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = [
        {"id": name, "family": f, "resolv_conf": conf, "name": asked, "rules": rules}
        for name, (conf, asked, rules) in CASES.items()
        for f in families
    ]
    more: list[dict[str, Any]] = [
        {"id": name, "family": f, "resolv_conf": c, "name": asked, "rules": rules, "env": env}
        for name, (env, c, asked, rules) in ENVIRONMENTS.items()
        for f in families
    ]
    return jobs + more


def test_getent_of_this_machine(tmp_path: Path) -> None:
    jobs = jobs_of(("AF_UNSPEC",))
    with required():
        results = run(resolvers.getent(), jobs, tmp_path)

    assert wrong("glibc", jobs, results) == {}


def test_glibc_of_this_machine(tmp_path: Path) -> None:
    jobs = jobs_of()
    with required():
        results = run(resolvers.glibc(tmp_path), jobs, tmp_path)

    assert wrong("glibc", jobs, results) == {}


def test_go(tmp_path: Path) -> None:
    jobs = jobs_of()
    with required():
        results = run(resolvers.go(tmp_path), jobs, tmp_path)

    assert wrong("go", jobs, results) == {}


def test_musl(tmp_path: Path) -> None:
    jobs = jobs_of()
    with required():
        resolver, command = resolvers.musl(tmp_path)
        results = run(command, jobs, tmp_path)

    assert wrong(resolver, jobs, results) == {}


def test_guesses_at_glibc(tmp_path: Path) -> None:
    jobs = guesses(100)
    with required():
        results = run(resolvers.glibc(tmp_path), jobs, tmp_path)

    assert wrong("glibc", jobs, results) == {}


def test_guesses_at_go(tmp_path: Path) -> None:
    jobs = guesses(100)
    with required():
        results = run(resolvers.go(tmp_path), jobs, tmp_path)

    assert wrong("go", jobs, results) == {}


def test_guesses_at_musl(tmp_path: Path) -> None:
    jobs = guesses(100)
    with required():
        resolver, command = resolvers.musl(tmp_path)
        results = run(command, jobs, tmp_path)

    assert wrong(resolver, jobs, results) == {}
