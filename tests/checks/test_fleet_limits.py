"""The limits of all nodes by what Prometheus has: quiet ones first."""

from datetime import UTC, datetime

import pytest

from k8sdiag import plugins
from k8sdiag.facts.fleet import FleetLimit, FleetLimits, Reading
from k8sdiag.facts.kernel import Conntrack, Threads
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.judge import judge
from k8sdiag.model import Fact, Finding, Missing, Said, Severity, Snapshot, Status, Unseen, Usage

CHECKS = plugins.checks()
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ELSEWHERE = Missing(reason="another machine's", asked=False)


def cluster(count: int, pool: str = "big") -> Nodes:
    return Nodes(nodes=tuple(Node(name=f"node-{i}", pool=pool) for i in range(count)))


def reading(node: int | str, used: float, limit: float = 1000, **more: object) -> Reading:
    names = (f"node-{node}",) if isinstance(node, int) else (node,)
    fields = {"source": "k8sdiag", "seconds": 600.0, **more}
    return Reading(names=names, used=used, limit=limit, **fields)  # type: ignore[arg-type]


def fleet(limit_id: str, *readings: Reading, gap: str = "") -> FleetLimits:
    return FleetLimits(limits={limit_id: FleetLimit(readings, gap)}, provenance="Prometheus")


def said(
    check_id: str,
    told: FleetLimits | Missing,
    nodes: Nodes | Missing,
    own: Fact | Missing = ELSEWHERE,
) -> list[Said]:
    check = CHECKS[check_id]
    assert check.run
    return list(check.run(own, told, nodes, limits=check.limits))


# Check, limit, and a reading that says nothing of trouble.
QUIET = {
    "connections below three quarters": ("conntrack", "conntrack", reading(0, 749)),
    "connections without a limit": ("conntrack", "conntrack", reading(0, 10, 0)),
    "drops of another reason": ("conntrack", "conntrack", reading(0, 500, drops=40.0)),
    "open files": ("file-handles", "file-handles", reading(0, 699)),
    "open files as systemd limits them": ("file-handles", "file-handles", reading(0, 9e6, 9.2e18)),
    "open files, judged where they are": ("file-handles", "file-handles", reading(0, 0, 0)),
    "threads": ("threads", "threads", reading(0, 699)),
    "ports": ("ephemeral-ports", "ephemeral-ports", reading(0, 699)),
    "no connection found a full queue": ("listen-overflow", "listen-overflow", reading(0, 0, 0)),
    "a short burst": ("listen-overflow", "listen-overflow", reading(0, 599, 0)),
    "a few packets": ("softnet-drops", "softnet-drops", reading(0, 599, 0)),
}


@pytest.mark.parametrize(("check_id", "limit_id", "told"), QUIET.values(), ids=QUIET)
def test_quiet(check_id: str, limit_id: str, told: Reading) -> None:
    spoken = said(check_id, fleet(limit_id, told), cluster(1))

    assert [x for x in spoken if isinstance(x, Finding | Unseen)] == []


LOUD = {
    "a full table": (
        ("conntrack", "conntrack", reading(0, 1000)),
        ("near-limit", Severity.CRITICAL, "100% full (1,000 connections, nf_conntrack_max 1,000)"),
    ),
    "a full table that drops": (
        ("conntrack", "conntrack", reading(0, 950, drops=40.4)),
        ("dropping", Severity.CRITICAL, "40 packets of new connections were dropped within 600s"),
    ),
    "open files": (
        ("file-handles", "file-handles", reading(0, 700)),
        ("near-limit", Severity.WARNING, "700 files are open, of at most 1,000 (fs.file-max)"),
    ),
    "threads": (
        ("threads", "threads", reading(0, 900)),
        ("near-limit", Severity.CRITICAL, "of at most 1,000 (the smaller of both limits)"),
    ),
    "ports": (
        ("ephemeral-ports", "ephemeral-ports", reading(0, 700)),
        ("near-limit", Severity.WARNING, "700 of the 1,000 local ports are taken towards"),
    ),
    "watches": (
        ("inotify", "inotify-watches", reading(0, 800)),
        ("near-limit", Severity.WARNING, "a user has 800 inotify watches of 1,000"),
    ),
    "a full listen queue": (
        ("listen-overflow", "listen-overflow", reading(0, 600, 0)),
        ("overflowing", Severity.WARNING, "600 connections found a full listen queue within 600s"),
    ),
    "a full input queue": (
        ("softnet-drops", "softnet-drops", reading(0, 600, 0)),
        ("dropping", Severity.WARNING, "600 packets found a full input queue within 600s"),
    ),
}


@pytest.mark.parametrize(("given", "expected"), LOUD.values(), ids=LOUD)
def test_found(given: tuple[str, str, Reading], expected: tuple[str, Severity, str]) -> None:
    check_id, limit_id, told = given
    spoken = said(check_id, fleet(limit_id, told), cluster(1))
    (finding,) = (x for x in spoken if isinstance(x, Finding))

    assert (finding.code, finding.severity) == expected[:2]
    assert finding.subject == "node/node-0"
    assert expected[2] in finding.message
    assert finding.remedy
    assert finding.remedy.commands


def test_a_fleet_that_is_seen_whole_has_one_usage_a_pool() -> None:
    told = fleet("threads", *(reading(i, i) for i in range(500)))
    (usage,) = said("threads", told, cluster(500))

    assert isinstance(usage, Usage)
    assert (usage.subject, usage.used) == ("node/node-499", 499)
    assert usage.source == "Prometheus, by k8sdiag"


def test_five_thousand_nodes_in_trouble_are_one_finding() -> None:
    told = fleet("threads", *(reading(i, 701 + (i == 4321)) for i in range(5000)))
    (finding,) = (x for x in said("threads", told, cluster(5000)) if isinstance(x, Finding))

    assert finding.subject == "pool/big"
    assert finding.message.startswith("5,000 of 5,000 nodes, e.g. node-4321: 702 threads")


def test_each_pool_is_told_of() -> None:
    nodes = Nodes(nodes=(Node(name="node-0", pool="a"), Node(name="node-1", pool="b")))
    told = fleet("threads", reading(0, 800), reading(1, 950))
    found = [x for x in said("threads", told, nodes) if isinstance(x, Finding)]

    assert [(x.subject, x.severity) for x in found] == [
        ("node/node-0", Severity.WARNING),
        ("node/node-1", Severity.CRITICAL),
    ]


def test_a_node_goes_by_its_address_and_strangers_are_not_judged() -> None:
    nodes = Nodes(nodes=(Node(name="node-0", addresses=("10.0.0.2",)), Node(name="node-1")))
    by_address = Reading(names=("vm", "10.0.0.2"), used=10, limit=1000)
    told = fleet("conntrack", by_address, reading("elsewhere", 999), Reading(names=(), used=1))
    usage, unseen = said("conntrack", told, nodes)

    assert isinstance(usage, Usage)
    assert usage.subject == "node/node-0"
    assert isinstance(unseen, Unseen)
    assert unseen.subject == "1 of 2 nodes, e.g. node-1"
    assert "no such numbers of theirs: scrape node_exporter with hostNetwork" in unseen.reason


def test_this_host_is_judged_by_its_own_look() -> None:
    own = Conntrack(host="node-0", limit=1000, entries=10)
    spoken = said("conntrack", fleet("conntrack", reading(0, 999)), cluster(1), own)

    assert [x.used for x in spoken if isinstance(x, Usage)] == [10]
    assert not [x for x in spoken if isinstance(x, Finding | Unseen)]


@pytest.mark.parametrize(
    ("readings", "used"),
    [
        pytest.param((reading(0, 2, source="node_exporter"), reading(0, 1)), 1, id="ours first"),
        pytest.param(
            (reading(0, 1, whole=False), reading(0, 2, source="node_exporter")), 2, id="the whole"
        ),
    ],
)
def test_of_two_exporters_of_a_node_one_is_believed(
    readings: tuple[Reading, ...], used: float
) -> None:
    (usage,) = said("conntrack", fleet("conntrack", *readings), cluster(1))

    assert isinstance(usage, Usage)
    assert usage.used == used


def test_what_an_exporter_sees_a_part_of_is_judged_and_said() -> None:
    told = fleet("threads", reading(0, 950, whole=False), reading(1, 1))
    spoken = said("threads", told, cluster(2))
    (unseen,) = (x for x in spoken if isinstance(x, Unseen))

    assert [x.subject for x in spoken if isinstance(x, Finding)] == ["node/node-0"]
    assert unseen.subject == "1 of 2 nodes, e.g. node-0"
    assert "hostPID" in unseen.reason


def test_both_limits_of_inotify_must_be_told() -> None:
    told = fleet("inotify-instances", reading(0, 1))
    (unseen,) = (x for x in said("inotify", told, cluster(1)) if isinstance(x, Unseen))

    assert unseen.subject == "1 of 1 nodes"


def test_a_query_that_failed_is_why() -> None:
    told = fleet("threads", gap="Prometheus refuses the query: too many samples")
    (unseen,) = said("threads", told, cluster(3))

    assert isinstance(unseen, Unseen)
    assert (unseen.subject, unseen.reason) == ("3 of 3 nodes", told.limits["threads"].gap)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (Missing(reason="connection refused"), "connection refused"),
        (ELSEWHERE, "give --prometheus"),
    ],
)
def test_without_prometheus_the_others_are_unseen(told: Missing, reason: str) -> None:
    own = Threads(host="node-0", threads=1, threads_max=100, pid_max=100)
    _, unseen = said("threads", told, cluster(3), own)

    assert isinstance(unseen, Unseen)
    assert unseen.subject == "2 of 3 nodes"
    assert reason in unseen.reason


def test_a_host_that_is_no_node_takes_nothing_from_the_fleet() -> None:
    own = Threads(host="laptop", threads=1, threads_max=100, pid_max=100)
    (usage,) = said("threads", fleet("threads", reading(0, 1)), cluster(1), own)

    assert isinstance(usage, Usage)
    assert usage.subject == "node/node-0"


def test_why_this_host_was_not_seen_is_said_where_nobody_else_tells() -> None:
    own = Missing(reason="run as root")
    snapshot = Snapshot(
        cluster="c", taken_at=NOW, facts={"Nodes": cluster(2)}, missing={"Inotify": own}
    )
    (outcome,) = judge([CHECKS["inotify"]], snapshot).outcomes
    whole = said("threads", fleet("threads", reading(0, 1), reading(1, 1)), cluster(2), own)

    assert outcome.status is Status.SKIPPED
    assert outcome.reason.startswith("this host: run as root; 2 of 2 nodes: ")
    assert not [x for x in whole if isinstance(x, Unseen)]


def test_on_a_host_alone_only_its_own_reason_is_said() -> None:
    missing = dict.fromkeys(("FleetLimits", "Nodes"), ELSEWHERE)
    missing["Inotify"] = Missing(reason="run as root")
    snapshot = Snapshot(cluster="c", taken_at=NOW, missing=missing)
    (outcome,) = judge([CHECKS["inotify"]], snapshot).outcomes

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "run as root")


def test_a_cluster_that_could_not_be_asked() -> None:
    own = Threads(host="node-0", threads=1, threads_max=100, pid_max=100)
    told = fleet("threads", reading(0, 99), reading(1, 2))
    spoken = said("threads", told, Missing(reason="403"), own)

    assert [x.subject for x in spoken if isinstance(x, Usage)] == ["node/node-0", "node/node-1"]
    assert [x.reason for x in spoken if isinstance(x, Unseen)] == ["403"]
