"""What watch makes of its signals: the verdicts, their order, and the timeline."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from k8sdiag.facts.signals import (
    Answer,
    Counters,
    EtcdState,
    Fleet,
    NodeStates,
    PodWarnings,
    Unseen,
)
from k8sdiag.watching import Level, Look, Timeline, Verdict, verdicts

MIB = 2**20
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAST = Answer(status=200, seconds=0.004)
NONE = Answer(status=0, why="no answer for 4 s")
BEFORE = Counters(
    at=100,
    started=1,
    storage_bytes={"etcd-0": 100.0 * MIB},
    writes=1000,
    etcd_requests=3000,
    etcd_seconds=6,
    requests=5000,
)
NOW = replace(BEFORE, at=115, writes=1100, etcd_requests=3200, etcd_seconds=6.4, requests=5400)
CALM = Look(
    at=AT,
    probe=FAST,
    lists={"nodes": FAST},
    counters=(BEFORE, NOW),
    nodes=NodeStates(seen=100),
    warnings=PodWarnings(),
    etcd={"https://e:2379": EtcdState(db_bytes=100 * MIB, quota_bytes=2048 * MIB)},
    fleet=Fleet(dns_errors=0.0, dns_p99_seconds=0.01, refusals=0.0, waiting_pulls=0.0),
)


def grown(**by: float) -> tuple[Counters, Counters]:
    return BEFORE, replace(NOW, **{name: getattr(NOW, name) + more for name, more in by.items()})


def of(subject: str, **seen: Any) -> Verdict:
    (found,) = (v for v in verdicts(replace(CALM, **seen)) if v.subject == subject)
    return found


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({}, id="all is calm"),
        pytest.param({"etcd": None, "fleet": None}, id="without etcd and Prometheus"),
        pytest.param({"counters": (None, NOW)}, id="the first look has no rates"),
        pytest.param({"counters": grown(write_errors=4)}, id="a few writes fail"),
        pytest.param({"counters": grown(failed=4, rejected=4)}, id="a few requests fail"),
        pytest.param({"lists": {"nodes": Answer(status=403)}}, id="a list that is forbidden"),
    ],
)
def test_quiet(seen: dict[str, Any]) -> None:
    assert {v.level for v in verdicts(replace(CALM, **seen))} == {Level.OK}


@pytest.mark.parametrize(
    ("subject", "level", "kind", "seen"),
    [
        pytest.param(
            "etcd",
            Level.CRITICAL,
            "nospace",
            {"etcd": {"e": EtcdState(db_bytes=2048 * MIB, alarms=("NOSPACE",))}},
            id="NOSPACE by etcd itself",
        ),
        pytest.param(
            "etcd",
            Level.CRITICAL,
            "refusing-writes",
            {"etcd": None, "counters": grown(write_errors=100)},
            id="all writes fail",
        ),
        pytest.param(
            "etcd",
            Level.WARNING,
            "refused",
            {"counters": (None, replace(NOW, write_errors=90)), "etcd": None},
            id="writes failed before the first look",
        ),
        pytest.param(
            "etcd",
            Level.UNKNOWN,
            "undecided",
            {"counters": (None, replace(NOW, write_errors=1)), "etcd": None},
            id="one write failed, perhaps last month",
        ),
        pytest.param(
            "etcd",
            Level.UNKNOWN,
            "undecided",
            {"counters": (replace(NOW, write_errors=1),) * 2, "etcd": None},
            id="one write failed, and none was tried since",
        ),
        pytest.param(
            "etcd",
            Level.OK,
            "ok",
            {"counters": (replace(BEFORE, write_errors=1), replace(NOW, write_errors=1))},
            id="one write failed, and none since",
        ),
        pytest.param(
            "etcd",
            Level.CRITICAL,
            "nospace",
            {"warnings": PodWarnings(nospace=2)},
            id="NOSPACE by events",
        ),
        pytest.param(
            "etcd",
            Level.CRITICAL,
            "cut-off",
            {"lists": {"/readyz": Answer(status=500, why="[-]etcd failed: reason withheld")}},
            id="the API server lost it",
        ),
        pytest.param(
            "etcd",
            Level.CRITICAL,
            "no-leader",
            {"etcd": {"e": EtcdState(db_bytes=1, has_leader=False)}},
            id="no leader",
        ),
        pytest.param(
            "etcd",
            Level.WARNING,
            "near-quota",
            {"etcd": {"e": EtcdState(db_bytes=81, quota_bytes=100)}},
            id="nearly full",
        ),
        pytest.param(
            "etcd", Level.WARNING, "slow", {"counters": grown(etcd_seconds=60)}, id="slow etcd"
        ),
        pytest.param(
            "etcd",
            Level.UNKNOWN,
            "unseen",
            {"etcd": None, "counters": (BEFORE, replace(NOW, writes=None))},
            id="an API server that does not count",
        ),
        pytest.param("api-server", Level.CRITICAL, "no-answer", {"probe": NONE}, id="no answer"),
        pytest.param(
            "api-server",
            Level.CRITICAL,
            "too-many-requests",
            {"lists": {"nodes": Answer(status=429)}},
            id="429 to a list",
        ),
        pytest.param(
            "api-server",
            Level.CRITICAL,
            "too-many-requests",
            {"counters": grown(rejected=300)},
            id="429 to others",
        ),
        pytest.param(
            "api-server", Level.CRITICAL, "failing", {"probe": Answer(status=503)}, id="503"
        ),
        pytest.param(
            "api-server", Level.WARNING, "failing", {"counters": grown(failed=6)}, id="some 5xx"
        ),
        pytest.param(
            "api-server",
            Level.WARNING,
            "slow",
            {"probe": Answer(status=200, seconds=2)},
            id="slow",
        ),
        pytest.param(
            "nodes",
            Level.CRITICAL,
            "not-ready",
            {"nodes": NodeStates(seen=10, not_ready=("a", "b", "c", "d", "e"))},
            id="half of the nodes",
        ),
        pytest.param(
            "nodes",
            Level.WARNING,
            "not-ready",
            {"nodes": NodeStates(seen=100, not_ready=("a",))},
            id="one node",
        ),
        pytest.param(
            "nodes",
            Level.UNKNOWN,
            "partial",
            {"nodes": NodeStates(seen=5000, left=700)},
            id="more nodes than are read",
        ),
        pytest.param(
            "image-pull",
            Level.WARNING,
            "failing",
            {"warnings": PodWarnings(pulls=3, pull_example="Failed to pull image")},
            id="a few pulls",
        ),
        pytest.param(
            "image-pull",
            Level.CRITICAL,
            "failing",
            {"fleet": replace(CALM.fleet, waiting_pulls=80.0)},  # type: ignore[type-var]
            id="many containers wait",
        ),
        pytest.param(
            "image-pull",
            Level.UNKNOWN,
            "unseen",
            {"warnings": Unseen("events: grant it"), "fleet": None},
            id="no events",
        ),
        pytest.param(
            "neighbor-table",
            Level.CRITICAL,
            "refusing",
            {"fleet": Fleet(refusals=40.0, refusing=("n1",))},
            id="refusals",
        ),
        pytest.param(
            "neighbor-table",
            Level.UNKNOWN,
            "unseen",
            {"fleet": Unseen("Prometheus: connection refused")},
            id="no Prometheus",
        ),
        pytest.param(
            "dns", Level.CRITICAL, "failing", {"fleet": Fleet(dns_errors=0.05)}, id="DNS fails"
        ),
        pytest.param(
            "dns",
            Level.WARNING,
            "slow",
            {"fleet": Fleet(dns_errors=0.0, dns_p99_seconds=2.0)},
            id="DNS is slow",
        ),
        pytest.param(
            "dns",
            Level.WARNING,
            "cut-off",
            {"fleet": None, "warnings": PodWarnings(dns=3)},
            id="DNSConfigForming",
        ),
    ],
)
def test_seen(subject: str, level: Level, kind: str, seen: dict[str, Any]) -> None:
    found = of(subject, **seen)

    assert (found.level, found.kind) == (level, kind)


def test_what_was_not_seen_of_a_subject_in_trouble_is_told_with_it() -> None:
    look = replace(
        CALM, etcd={"https://e:2379": Unseen("connection refused")}, counters=grown(write_errors=99)
    )
    timeline = taken(look)
    (found,) = (v for v in timeline.now if v.subject == "etcd")

    assert (found.level, found.kind) == (Level.CRITICAL, "refusing-writes")
    assert found.message.endswith("; not seen: https://e:2379: connection refused")
    assert not timeline.whole
    assert taken(CALM).whole


def test_a_dead_api_server_leaves_the_rest_unknown() -> None:
    dead = Unseen(NONE.why)
    look = replace(CALM, probe=NONE, lists={}, counters=dead, nodes=dead, warnings=dead, etcd=None)
    found = {v.subject: v.level for v in verdicts(replace(look, fleet=None))}

    assert next(iter(found.items())) == ("api-server", Level.CRITICAL)
    del found["api-server"]
    assert set(found.values()) == {Level.UNKNOWN}


def test_of_what_is_equally_bad_the_cause_comes_first() -> None:
    look = replace(
        CALM,
        etcd={"e": EtcdState(db_bytes=1, alarms=("NOSPACE",))},
        counters=grown(failed=300),
        nodes=NodeStates(seen=4, not_ready=("a", "b", "c")),
        fleet=Fleet(dns_errors=0.5, refusals=9.0, refusing=("n",), waiting_pulls=50.0),
    )

    assert [v.subject for v in verdicts(look)] == [
        "etcd",
        "api-server",
        "nodes",
        "neighbor-table",
        "dns",
        "image-pull",
    ]


def taken(*looks: Look) -> Timeline:
    timeline = Timeline()
    for number, look in enumerate(looks):
        timeline.take(AT + timedelta(seconds=5 * number), verdicts(look))
    return timeline


def test_the_timeline_holds_the_start_and_changes_of_kind_not_of_numbers() -> None:
    slower = replace(CALM, probe=Answer(status=200, seconds=0.5))
    broken = replace(CALM, nodes=NodeStates(seen=4, not_ready=("a", "b")))
    timeline = taken(CALM, slower, broken, broken, CALM)
    later = [(e.at.second, e.verdict.subject, e.verdict.level) for e in timeline.entries[6:]]

    assert [e.at for e in timeline.entries[:6]] == [AT] * 6
    assert later == [(10, "nodes", Level.CRITICAL), (20, "nodes", Level.OK)]
    assert timeline.critical
    assert timeline.whole


def test_what_has_changed_since_the_start() -> None:
    broken = replace(CALM, nodes=NodeStates(seen=4, not_ready=("a", "b")))
    timeline = taken(CALM, broken)
    gained = {v.subject: timeline.since_start(v) for v in timeline.now}

    assert gained["nodes"] == (2, "nodes")
    assert gained["image-pull"] == (0, "pods")


def test_what_was_never_measured_has_no_change() -> None:
    timeline = taken(replace(CALM, nodes=Unseen("grant it")))
    (nodes,) = (v for v in timeline.now if v.subject == "nodes")

    assert timeline.since_start(nodes) is None
    assert not timeline.whole
    assert not timeline.critical


def test_before_the_first_look_nothing_is_whole() -> None:
    assert not Timeline().whole
