from typing import Any

import pytest
from msgspec.structs import replace

from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks.etcd_health import check
from k8sdiag.facts.etcd import (
    APIServerPod,
    EtcdBackup,
    EtcdBackups,
    EtcdMember,
    EtcdMembers,
    EtcdPerformance,
    EtcdPod,
    EtcdPods,
    EtcdSeenByAPIServer,
    MemberPerformance,
)
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Fact, Finding, Metric, Missing, Said, Severity, Unseen

MIB = 1 << 20
GIB = 1 << 30
DAY = 86400.0
INF = float("inf")


def said(*facts: Fact, limits: EtcdHealth | None = None) -> list[Said]:
    """What the check says when it is given these facts and no others."""
    given = {type(fact): fact for fact in facts}
    wanted: dict[str, type[Fact]] = {
        "etcd": EtcdMembers,
        "performance": EtcdPerformance,
        "pods": EtcdPods,
        "seen": EtcdSeenByAPIServer,
        "nodes": Nodes,
        "backups": EtcdBackups,
    }
    arguments: Any = {
        name: given.get(kind, Missing(reason=f"no {kind.__name__}"))
        for name, kind in wanted.items()
    }
    return list(check(**arguments, limits=limits or EtcdHealth()))


def findings(*facts: Fact) -> list[Finding]:
    return [x for x in said(*facts) if isinstance(x, Finding)]


def member(number: int = 0, **more: Any) -> EtcdMember:
    fields: dict[str, Any] = {
        "id": str(number),
        "name": f"etcd-{number}",
        "endpoint": f"https://10.0.0.{number}:2379",
        "version": "3.6.16",
        "db_bytes": 2000 * MIB,
        "in_use_bytes": 1000 * MIB,
        "quota_bytes": 8 * GIB,
        "quota_source": "Status",
    }
    return EtcdMember(**fields | more)


def etcd(*members: EtcdMember) -> EtcdMembers:
    return EtcdMembers(members=members or (member(0), member(1), member(2)))


def buckets(fast: int, slow: int, seconds: float) -> tuple[tuple[float, float], ...]:
    """`fast` took 1 ms at most, `slow` up to the given seconds but more than half of that."""
    total = float(fast + slow)
    return ((0.001, float(fast)), (seconds / 2, float(fast)), (seconds, total), (INF, total))


def performance(*members: MemberPerformance, **more: Any) -> EtcdPerformance:
    return EtcdPerformance(members=members or (watched(**more),))


def watched(number: int = 0, **more: Any) -> MemberPerformance:
    fields: dict[str, Any] = {
        "window_seconds": 10.0,
        "leader_seconds": 10.0,
        "leader_changes": 0.0,
        "clock_ahead_seconds": (-0.5, 0.5),
    }
    name = f"etcd-{number}"
    return MemberPerformance(name=name, endpoint=f"https://10.0.0.{number}:2379", **fields | more)


def nodes(count: int) -> Nodes:
    return Nodes(nodes=tuple(Node(name=f"node-{n}") for n in range(count)))


def apart(*told: bool | None) -> EtcdPods:
    servers = tuple(APIServerPod(name="a", node="n", events_apart=t) for t in told)
    return EtcdPods(etcds=(), api_servers=servers)


def seen(*stores: str, provider: str = "") -> EtcdSeenByAPIServer:
    return EtcdSeenByAPIServer(db_bytes=dict.fromkeys(stores, GIB), provider=provider)


def backup(days: float | None) -> EtcdBackups:
    age = None if days is None else days * DAY
    return EtcdBackups(backups=(EtcdBackup(subject="cronjob/ops/etcd-backup", age_seconds=age),))


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param([etcd()], id="three equal members"),
        pytest.param(
            [etcd(member(0), member(1, in_use_bytes=1100 * MIB))],
            id="members a tenth apart, as free pages come and go",
        ),
        pytest.param(
            [etcd(member(0, in_use_bytes=20 * MIB), member(1, in_use_bytes=90 * MIB))],
            id="small databases, far apart in share only",
        ),
        pytest.param(
            [etcd(member(0), member(1, in_use_bytes=100 * MIB, learner=True))],
            id="a learner that is catching up",
        ),
        pytest.param(
            [etcd(member(0, cluster_id="a"), member(1, version="3.5.21", cluster_id="b"))],
            id="the events' etcd is an older one",
        ),
        pytest.param([performance(fsyncs=buckets(990, 20, 0.064))], id="fsyncs of 64 ms"),
        pytest.param([performance(fsyncs=buckets(20, 1, 0.512))], id="one slow fsync, a hiccup"),
        pytest.param([performance(commits=buckets(90, 10, 0.128))], id="commits of 128 ms"),
        pytest.param([performance(fsyncs=())], id="speed unknown"),
        pytest.param(
            [performance(leader_changes=3.0, leader_seconds=900.0)],
            id="three leaders in 15 minutes, as a rolling restart makes",
        ),
        pytest.param([performance(clock_ahead_seconds=(0.4, 1.6))], id="a clock within a second"),
        pytest.param(
            [performance(clock_ahead_seconds=(-9.0, 60.0))], id="a slow answer tells no time"
        ),
        pytest.param(
            [performance(*(watched(n, clock_ahead_seconds=(59.5, 60.5)) for n in range(3)))],
            id="all three members agree: this machine's clock is off",
        ),
        pytest.param(
            [etcd(member(quota_bytes=2 * GIB)), nodes(999)], id="the default quota, 999 nodes"
        ),
        pytest.param([etcd(member(quota_bytes=4 * GIB)), nodes(5000)], id="a larger quota"),
        pytest.param(
            [etcd(member(quota_bytes=2 * GIB, quota_assumed=True)), nodes(5000)],
            id="an assumed quota is not known to be the default",
        ),
        pytest.param([apart(False), nodes(999)], id="events with all else, 999 nodes"),
        pytest.param([apart(True, True), nodes(5000)], id="events apart by flag"),
        pytest.param([apart(None), nodes(5000)], id="flags in a file, nobody knows"),
        pytest.param([seen("etcd-0", "etcd-1"), nodes(5000)], id="events apart by metrics"),
        pytest.param([seen("https://a:2379"), nodes(5000)], id="an old API server names members"),
        pytest.param([seen("etcd-0", provider="EKS"), nodes(5000)], id="the provider's to decide"),
        pytest.param([backup(6)], id="a backup of this week"),
        pytest.param([EtcdBackups(backups=())], id="no evidence of a backup is no finding"),
    ],
)
def test_quiet(facts: list[Fact]) -> None:
    assert findings(*facts) == []


@pytest.mark.parametrize(
    ("facts", "code", "severity", "subject", "says"),
    [
        pytest.param(
            [etcd(member(0), member(1, in_use_bytes=700 * MIB), member(2))],
            "members-differ",
            Severity.WARNING,
            "etcd/etcd-1",
            "etcd-1 has 700 MiB in use and etcd-2 1,000",
            id="a member that holds less",
        ),
        pytest.param(
            [etcd(member(0), member(1, version="3.5.21"))],
            "versions-differ",
            Severity.WARNING,
            "etcd",
            "etcd-0 3.6.16, etcd-1 3.5.21",
            id="two versions",
        ),
        pytest.param(
            [performance(fsyncs=buckets(900, 100, 0.256))],
            "slow-disk",
            Severity.WARNING,
            "etcd/etcd-0",
            "the log's fsyncs take 243 ms (p99 of the last 10 s)",
            id="slow fsyncs",
        ),
        pytest.param(
            [performance(fsyncs=buckets(900, 100, 1.024), commits=buckets(10, 10, 0.512))],
            "slow-disk",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "and backend commits take 507 ms",
            id="a disk that stands still",
        ),
        pytest.param(
            [performance(leader_changes=1.0)],
            "leader-changes",
            Severity.WARNING,
            "etcd",
            "1 times within 10 s",
            id="an election under our eyes",
        ),
        pytest.param(
            [performance(leader_changes=4.0, leader_seconds=900.0)],
            "leader-changes",
            Severity.WARNING,
            "etcd",
            "4 times within 900 s",
            id="four leaders in 15 minutes",
        ),
        pytest.param(
            [performance(clock_ahead_seconds=(-62.0, -61.0))],
            "clock-off",
            Severity.WARNING,
            "etcd/etcd-0",
            "61 s or more behind this machine's",
            id="a clock that is late",
        ),
        pytest.param(
            [
                performance(
                    watched(0, clock_ahead_seconds=(59.5, 60.5)),
                    watched(1, clock_ahead_seconds=(59.6, 60.6)),
                    watched(2),
                )
            ],
            "clock-off",
            Severity.WARNING,
            "etcd/etcd-2",
            "behind most members'",
            id="two members agree against the third",
        ),
        pytest.param(
            [etcd(member(quota_bytes=2 * GIB)), nodes(1000)],
            "default-quota",
            Severity.WARNING,
            "etcd",
            "2 GiB in a cluster of 1,000 nodes",
            id="the default quota on a large cluster",
        ),
        pytest.param(
            [
                EtcdPods(
                    etcds=(
                        EtcdPod(
                            name="etcd-a",
                            namespace="kube-system",
                            node="a",
                            quota_bytes=2 * GIB,
                            quota_source="not set",
                        ),
                    )
                ),
                nodes(1000),
            ],
            "default-quota",
            Severity.WARNING,
            "etcd",
            "1,000 nodes",
            id="the same by the pods' spec",
        ),
        pytest.param(
            [apart(True, False), nodes(1000)],
            "events-not-apart",
            Severity.WARNING,
            "etcd",
            "1,000 nodes",
            id="one API server without the flag",
        ),
        pytest.param(
            [seen("etcd-0"), nodes(1000)],
            "events-not-apart",
            Severity.WARNING,
            "etcd",
            "1,000 nodes",
            id="one etcd for all, by metrics",
        ),
        pytest.param(
            [backup(8)],
            "backup-old",
            Severity.WARNING,
            "etcd",
            "its last backup of etcd 8 days ago",
            id="a backup that has stopped",
        ),
        pytest.param(
            [backup(None)],
            "backup-old",
            Severity.WARNING,
            "etcd",
            "never",
            id="a CronJob that never succeeded",
        ),
    ],
)
def test_found(facts: list[Fact], code: str, severity: Severity, subject: str, says: str) -> None:
    (finding,) = findings(*facts)

    assert (finding.code, finding.severity, finding.subject) == (code, severity, subject)
    assert says in finding.message
    assert finding.remedy is not None


def test_a_backup_is_told_with_the_endpoint_and_the_certificates() -> None:
    own = EtcdMembers(members=(member(0),), etcdctl_flags=("--cacert=/pki/ca.crt",))
    commands = [
        f.remedy.commands
        for facts in ([own, backup(8)], [backup(8)])
        for f in findings(*facts)
        if f.remedy
    ]

    where = "--endpoints=https://10.0.0.0:2379 --cacert=/pki/ca.crt"
    assert commands == [
        (f"etcdctl {where} snapshot save etcd-0-$(date +%F).db",),
        ("etcdctl snapshot save etcd-$(date +%F).db",),
    ]


def unseen(spoken: list[Said]) -> dict[str, str]:
    return {x.subject: x.reason for x in spoken if isinstance(x, Unseen)}


def test_what_was_not_seen_is_said() -> None:
    assert unseen(said(nodes(3))) == {"etcd": "no EtcdMembers"}
    assert unseen(said(etcd(), nodes(3))) == {"speed of etcd": "no EtcdPerformance"}
    assert unseen(said(etcd(), nodes(3), quick())) == {}
    assert unseen(said(etcd(), quick())) == {
        "whether etcd is set up for this many nodes": "no Nodes"
    }


def quick(**more: Any) -> EtcdPerformance:
    """Three members that were watched and are fast."""
    fast = buckets(99, 0, 0.064)
    return performance(*(watched(number, fsyncs=fast, **more) for number in range(3)))


def test_members_whose_speed_nobody_told_are_not_taken_for_fast() -> None:
    restarted = performance(watched(0), *quick().members[1:])
    told = replace(quick(), members=quick().members[:2])

    assert list(unseen(said(etcd(), nodes(3), restarted))) == ["speed of etcd/etcd-0"]
    assert list(unseen(said(etcd(), nodes(3), told))) == ["speed of 1 of 3 members of etcd"]
    assert not unseen(said(etcd(), nodes(3), replace(told, gaps={"speed of etcd/etcd-2": "dead"})))


def test_an_etcd_of_no_members_was_not_seen() -> None:
    assert unseen(said(EtcdMembers(members=()), nodes(3), quick())) == {
        "etcd": "no member of it was seen"
    }


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        pytest.param([nodes(999)], False, id="small enough to share"),
        pytest.param([nodes(1000), apart(True)], False, id="by flag"),
        pytest.param([nodes(1000), seen("etcd-0", "etcd-1")], False, id="by metrics"),
        pytest.param([nodes(1000), seen("etcd-0", provider="EKS")], False, id="the provider's"),
        pytest.param([nodes(1000), apart(None)], True, id="a file has the flags"),
        pytest.param([nodes(1000)], True, id="nobody tells"),
    ],
)
def test_whether_events_are_apart_is_not_taken_for_granted(facts: list[Fact], told: bool) -> None:
    spoken = unseen(said(etcd(), quick(), *facts))

    assert ("whether events have an etcd of their own" in spoken) is told


def test_no_evidence_of_a_backup_counts_only_where_it_is_required() -> None:
    required = EtcdHealth(backup_required=True)
    facts = (etcd(), nodes(3))

    assert unseen(said(*facts, quick())) == {}
    assert list(unseen(said(*facts, quick(), limits=required))) == ["backups"]
    assert unseen(said(*facts, quick(snapshots=2), limits=required)) == {}
    assert unseen(said(*facts, quick(), backup(1), limits=required)) == {}


def test_the_numbers() -> None:
    spoken = said(performance(fsyncs=buckets(0, 100, 0.002), commits=()), backup(2))

    metrics = {m.name: m.value for m in spoken if isinstance(m, Metric)}
    assert metrics == {
        "etcd_wal_fsync_p99_seconds": pytest.approx(0.00199),
        "etcd_backup_age_seconds": 2 * DAY,
    }
