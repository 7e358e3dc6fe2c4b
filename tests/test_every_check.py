"""What must hold of every check, whichever there are: of a new one too, with nothing added here.

A check that needs a new fact wants it in healthy.py; one that can do without a fact that it asks
for wants a line in REFINES, with the words in which its page says so.
"""

import shlex
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

import msgspec
import pytest
from msgspec import ValidationError
from msgspec.structs import fields, replace

from k8sdiag import plugins, run
from k8sdiag.judge import judge
from k8sdiag.model import Check, Missing, Outcome, Snapshot, Status
from tests import healthy
from tests.altered import HOSTILE, hostile, shuffled

PAGES = Path(__file__).parents[1] / "docs" / "checks"
CHECKS = plugins.checks()
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
HEALTHY, DEMO = healthy.snapshot(), run.load_demo()
PROMETHEUS = {"CoreDNSTraffic", "EtcdHistory", "FleetLimits", "FleetNeighborTables", "PullTimes"}
BY_PROMETHEUS = "judged by what Prometheus has of"
BY_FLAGS = "where neither the flags nor the metrics of an API server tell it"
# Without these facts a check still sees all that decides: where its page says so.
REFINES = {
    "api-server": {"ControlPlane": "these are the last 5 minutes of all API servers"},
    "cluster-size": {"ControlPlane": "of the control plane only at a size where it would matter"},
    "conntrack": {"Conntrack": BY_PROMETHEUS},
    "dns-capacity": {
        "ClusterDNS": "its `-localip` does",
        "NodeResolvConf": "the loop shows as replicas that are not ready",
        "Pods": "Without metrics load and memory are predicted from the pods",
    },
    "dns-search": {
        "ClusterDNS": "`cluster.local` is assumed; it changes no count",
        "CoreDNS": "two replicas without autopath are assumed",
        "NodeResolvConf": "the check says so where they could change its verdict",
        "Nodes": "6 and 256 if a kubelet older than 1.26 is among the nodes",
    },
    "ephemeral-ports": {"EphemeralPorts": BY_PROMETHEUS},
    "etcd-health": {
        "EtcdBackups": "no evidence of a backup makes the outcome `partial`",
        "EtcdPods": BY_FLAGS,
        "EtcdSeenByAPIServer": BY_FLAGS,
    },
    "etcd-quota": {
        "EtcdHistory": "When it will be full needs sizes of at least two times",
        "EtcdObjects": "Findings about space name the resources that hold the most",
        "EtcdPods": "The quota is found, not asked for, in this order",
        "EtcdSeenByAPIServer": "Whichever of these answers first",
    },
    "file-handles": {"FileHandles": BY_PROMETHEUS},
    "image-disk": {
        "HostKubelet": "where it can be read",
        "KubeletConfigs": "where it can be read",
    },
    "image-pull": {
        "HostKubelet": "If both are short, nothing is wrong either way",
        "HostRuntime": "Of other nodes the runtime's default is assumed",
        "ImagePulls": "if at least `enough_pulls` of 100 MB and more were seen",
        "KubeletConfigs": "If both are short, nothing is wrong either way",
        "PullTimes": "Where too few events are left",
    },
    "image-pull-failures": {
        "Nodes": "the number of nodes, where they are known",
        "Pods": "The pods' workloads and the number of nodes, where they are known",
    },
    "image-pull-runtime": {
        "HostKubelet": "for the deadlines of the other nodes",
        "HostRuntime": "for the deadlines of the other nodes",
    },
    "image-pull-settings": {"HostKubelet": "On a node, without any right in the cluster"},
    "inotify": {"Inotify": BY_PROMETHEUS},
    "listen-overflow": {"PacketDrops": "every node is judged by the increase"},
    "neighbor-limits": {"Pods": "where the cluster's own number is not known"},
    "neighbor-table": {"NeighborTables": "Prometheus"},
    "softnet-drops": {"PacketDrops": "every node is judged by the increase"},
    "threads": {"Threads": BY_PROMETHEUS},
}


def outcome(check: Check, snapshot: Snapshot) -> Outcome:
    (found,) = judge([check], snapshot).outcomes
    return found


def needs(check: Check) -> list[str]:
    return sorted(fact.__name__ for fact in check.needs.values())


def without(snapshot: Snapshot, names: set[str], *, asked: bool = True) -> Snapshot:
    left = {name: fact for name, fact in snapshot.facts.items() if name not in names}
    gone = {name: Missing(reason=f"{name} was not seen", asked=asked) for name in names}
    return replace(snapshot, facts=left, missing=snapshot.missing | gone)


@EVERY
def test_it_is_whole_and_quiet_where_all_is_well(check: Check) -> None:
    assert set(needs(check)) <= HEALTHY.facts.keys()
    found = outcome(check, HEALTHY)

    assert (found.status, found.reason) == (Status.OK, "")


@pytest.mark.parametrize("nodes", [3, 100, 1000])
def test_a_healthy_cluster_of_any_size_is_quiet(nodes: int) -> None:
    report = judge(CHECKS.values(), healthy.snapshot(nodes))

    assert [(f.code, f.message) for o in report.outcomes for f in o.findings] == []


def test_a_healthy_cluster_as_large_as_kubernetes_is_tested_for_is_only_told_that() -> None:
    report = judge(CHECKS.values(), healthy.snapshot(5000))
    found = {(f.code, f.subject) for o in report.outcomes for f in o.findings}

    assert {code for code, _ in found} == {"cluster-size/near-threshold"}


@EVERY
@pytest.mark.parametrize("prometheus", [True, False], ids=["with Prometheus", "without"])
def test_what_was_not_seen_is_never_ok(check: Check, prometheus: bool) -> None:
    refines = REFINES.get(check.id, {})
    seen = HEALTHY if prometheus else without(HEALTHY, PROMETHEUS, asked=False)
    names = [name for name in needs(check) if name in seen.facts]
    subsets = chain.from_iterable(combinations(names, n + 1) for n in range(len(names)))

    for gone in map(set, subsets):
        found = outcome(check, without(seen, gone))
        assert found.status is not Status.ERROR
        if not gone <= refines.keys():
            assert found.status is not Status.OK, gone


@EVERY
def test_its_page_says_what_it_can_do_without(check: Check) -> None:
    page = " ".join((PAGES / f"{check.id}.md").read_text().split())

    for name, words in REFINES.get(check.id, {}).items():
        assert name in needs(check)
        assert words in page


@EVERY
def test_a_part_of_a_fact_that_was_not_seen_is_told(check: Check) -> None:
    for name in needs(check):
        torn = replace(HEALTHY.facts[name], gaps={"a part": "it timed out"})
        found = outcome(check, replace(HEALTHY, facts=HEALTHY.facts | {name: torn}))

        assert not found.whole
        assert "a part: it timed out" in found.reason


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_its_words_do_not_depend_on_the_order_of_what_it_sees(check: Check, seed: int) -> None:
    for snapshot in (HEALTHY, DEMO):
        found = outcome(check, snapshot)

        assert outcome(check, shuffled(snapshot, seed)) == found


@EVERY
def test_no_number_and_no_name_makes_it_raise_or_leave_its_quotes(check: Check) -> None:
    """Each limit as small and as large as it may be makes it say much of what it can."""
    tries = [(check, hostile(DEMO)), *((c, hostile(HEALTHY)) for c in variants(check))]

    for variant, snapshot in tries:
        found = outcome(variant, snapshot)
        assert found.status is not Status.ERROR, (variant.limits, found.reason)
        for finding in found.findings:
            for command in finding.remedy.commands if finding.remedy else ():
                assert_quoted(command)


@EVERY
def test_the_trouble_of_many_nodes_is_told_by_what_somebody_acts_on(check: Check) -> None:
    large = healthy.snapshot(300)

    for variant in variants(check):
        assert len(outcome(variant, large).findings) <= 12


def variants(check: Check) -> Iterator[Check]:
    """The check with each of its numbers as the configuration file takes it at most and least."""
    for field in fields(check.limits) if check.limits else ():
        for value in (0, 1, 1e-9, 10**9, 1e300):
            try:
                limits = msgspec.convert({field.name: value}, type=type(check.limits))
            except ValidationError:
                continue
            yield replace(check, limits=limits)


def assert_quoted(command: str) -> None:
    """What HOSTILE has in it for the shell stays in the word that it is a part of."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)

    begin = HOSTILE[:6]
    assert sum(word.count(begin) for word in words) == command.count(begin)
