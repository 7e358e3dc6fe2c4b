"""Every remedy of dns-search that the demo prints keeps its promise, by the resolver model."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from k8sdiag import plugins, run
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import DNSConfig, Pods, Profile
from k8sdiag.judge import judge
from k8sdiag.kubeletdns import asks_cluster, effective
from k8sdiag.model import Finding, Snapshot
from k8sdiag.resolver import predict

EXTERNAL = "www.example.com"
RESOLVERS = {"glibc": "glibc", "musl": "musl", "go": "Go"}
NUMBERS = r"(\d+(?: \([^)]+\))?(?: or \d+ \([^)]+\))*)"
FORMS = ("SERVICE", "SERVICE.NAMESPACE", "SERVICE.NAMESPACE.svc", "SERVICE.NAMESPACE.svc.{domain}")


@pytest.fixture(scope="module")
def demo() -> Snapshot:
    return run.load_demo()


@pytest.fixture(scope="module")
def found(demo: Snapshot) -> list[Finding]:
    (outcome,) = judge([plugins.checks()["dns-search"]], demo).outcomes
    assert len(outcome.findings) > 3
    return list(outcome.findings)


def profiles(demo: Snapshot) -> list[tuple[Profile, int]]:
    """The running profiles and how many pods have each."""
    pods = demo.facts["Pods"]
    assert isinstance(pods, Pods)
    return [
        (pods.profiles[i], count)
        for i, count in pods.counts().items()
        if pods.profiles[i].phase not in ("Succeeded", "Failed")
    ]


def text(demo: Snapshot, profile: Profile) -> str:
    cluster, node = demo.facts["ClusterDNS"], demo.facts["NodeResolvConf"]
    assert isinstance(cluster, ClusterDNS)
    assert isinstance(node, NodeResolvConf)
    return effective(profile, cluster, node).text


def queries(conf: str, name: str = EXTERNAL) -> dict[str, int]:
    """Resolver -> queries of a lookup where only EXTERNAL exists."""

    def answer(qname: str, *_: object) -> str:
        return "ok" if qname == f"{EXTERNAL}." else "nxdomain"

    return {r: len(predict(conf, name, answer, resolver=r).queries) for r in RESOLVERS}


def said(words: str) -> dict[str, int]:
    """ "8", or "8 (glibc, Go) or 24 (musl)"."""
    if words.isdecimal():
        return dict.fromkeys(RESOLVERS, int(words))
    named = {
        name: int(number)
        for number, names in re.findall(r"(\d+) \(([^)]+)\)", words)
        for name in names.split(", ")
    }
    return {resolver: named[name] for resolver, name in RESOLVERS.items()}


def options_of(finding: Finding) -> tuple[tuple[str, str], ...]:
    """The dnsConfig options that a finding's command sets."""
    assert finding.remedy
    (command,) = finding.remedy.commands
    body: Any = json.loads(shlex.split(command)[-1])
    while "dnsConfig" not in body:
        (body,) = body.values()
    return tuple((o["name"], o.get("value", "")) for o in body["dnsConfig"]["options"])


def resolving(conf: str, namespace: str, domain: str) -> Mapping[str, set[str]]:
    """Resolver -> the ways to write a Service's name that it resolves."""
    able: dict[str, set[str]] = {resolver: set() for resolver in RESOLVERS}
    for form in FORMS:
        lives_in = namespace if form == "SERVICE" else "other"
        name = form.format(domain=domain).replace("SERVICE", "db").replace("NAMESPACE", lives_in)

        def answer(qname: str, *_: object, full: str = f"db.{lives_in}.svc.{domain}.") -> str:
            return "ok" if qname == full else "nxdomain"

        for resolver in RESOLVERS:
            if predict(conf, name, answer, resolver=resolver).ok:
                able[resolver].add(form)
    return able


def test_what_a_workload_is_said_to_send_it_sends(demo: Snapshot, found: list[Finding]) -> None:
    of_workloads = [f for f in found if f.code.endswith("/amplified") and f.subject != "cluster"]
    assert of_workloads
    for finding in of_workloads:
        words = re.search(
            rf"its ([\d,]+) pods send {NUMBERS} queries .*, and (\d+) would do", finding.message
        )
        assert words, finding.message
        same = [(p, n) for p, n in profiles(demo) if p.workload.subject == finding.subject]
        files = {text(demo, profile) for profile, _ in same}

        assert sum(n for _, n in same) == int(words[1].replace(",", ""))
        assert [queries(conf) for conf in files] == [said(words[2])]
        assert {min(queries(conf, f"{EXTERNAL}.").values()) for conf in files} == {int(words[3])}


def test_what_a_patch_promises_is_what_the_model_then_predicts(
    demo: Snapshot, found: list[Finding]
) -> None:
    domain = demo.facts["ClusterDNS"].domain
    patched = [f for f in found if f.remedy and f.remedy.commands]
    assert patched
    for finding in patched:
        assert finding.remedy
        promised = re.search(rf"{NUMBERS} queries become {NUMBERS}", finding.remedy.summary)
        assert promised, finding.remedy.summary
        before = next(p for p, _ in profiles(demo) if p.workload.subject == finding.subject)
        config = before.dns_config or DNSConfig()
        after = replace(before, dns_config=replace(config, options=options_of(finding)))
        old, new = text(demo, before), text(demo, after)

        assert queries(old) == said(promised[1])
        assert queries(new) == said(promised[2])

        able = resolving(old, before.workload.namespace, domain)
        still = resolving(new, before.workload.namespace, domain)
        lost = {form for resolver in RESOLVERS for form in able[resolver] - still[resolver]}
        assert still["glibc"] >= able["glibc"]
        assert still["go"] >= able["go"]
        warned = re.search(r"on musl \(Alpine\) (.+?) would no longer", finding.remedy.summary)
        assert lost == (set(warned[1].split(" and ")) if warned else set())


def test_a_dot_at_the_end_does_what_it_promises(demo: Snapshot, found: list[Finding]) -> None:
    """Where a setting would break names on an Alpine image, this is all that is promised."""
    for finding in found:
        if not finding.code.endswith("/amplified") or finding.subject == "cluster":
            continue
        assert finding.remedy
        dotted = re.search(
            rf"dot at their end \({EXTERNAL}\.\): {NUMBERS} queries become {NUMBERS}",
            finding.remedy.summary,
        )
        assert dotted or finding.remedy.commands
        if dotted:
            of = next(p for p, _ in profiles(demo) if p.workload.subject == finding.subject)
            assert queries(text(demo, of)) == said(dotted[1])
            assert queries(text(demo, of), f"{EXTERNAL}.") == said(dotted[2])


def test_the_sum_over_all_others_is_theirs(demo: Snapshot, found: list[Finding]) -> None:
    (rest,) = [f for f in found if f.code.endswith("/amplified") and f.subject == "cluster"]
    own = {f.subject for f in found}
    pods = total = 0
    for profile, count in profiles(demo):
        conf = text(demo, profile)
        wasted = min(queries(conf).values()) > min(queries(conf, f"{EXTERNAL}.").values())
        if asks_cluster(profile) and wasted and profile.workload.subject not in own:
            pods += count
            total += count * min(queries(conf).values())

    assert f"with {pods:,} pods send {total / pods:.3g} queries on average" in rest.message
    assert rest.observed == pytest.approx(total / pods)
