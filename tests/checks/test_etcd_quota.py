from collections.abc import Iterator
from typing import Any

import pytest

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks.etcd_quota import check
from k8sdiag.facts.etcd import (
    NO_QUOTA,
    EtcdAlarm,
    EtcdMember,
    EtcdMembers,
    EtcdPod,
    EtcdPods,
    EtcdSeenByAPIServer,
)
from k8sdiag.model import Finding, Metric, Missing, Said, Severity, Unseen, Usage

MIB = 1 << 20
GIB = 1 << 30
NOT_ASKED = Missing(reason="etcd was not asked: give --etcd-endpoints")
NO_HISTORY = Missing(reason="nobody keeps it", asked=False)
NO_OBJECTS = Missing(reason="nobody counts them")
NOT_SEEN = Missing(reason='may not get "/metrics"')
NO_PODS = Missing(reason="no pod of etcd is to be seen")


def member(name: str = "etcd-0", *, mib: float = 100, **more: Any) -> EtcdMember:
    """A member whose id is its number, with a quota of 1,000 MiB that is in use as it is."""
    number = name.rpartition("-")[2]
    fields: dict[str, Any] = {
        "id": number,
        "cluster_id": "c",
        "endpoint": f"https://10.0.0.{number}:2379",
        "version": "3.6.16",
        "db_bytes": int(mib * MIB),
        "in_use_bytes": int(mib * MIB),
        "quota_bytes": 1000 * MIB,
        "quota_source": "Status",
        "alarms": (),
    }
    in_use = more.pop("in_use", mib)
    return EtcdMember(name=name, **fields | {"in_use_bytes": int(in_use * MIB)} | more)


def etcd(*members: EtcdMember, **more: Any) -> EtcdMembers:
    return EtcdMembers(members=members, **more)


def nospace(number: int = 0) -> tuple[EtcdAlarm, ...]:
    return (EtcdAlarm(kind="NOSPACE", member_id=str(number)),)


def said(
    fact: EtcdMembers | Missing = NOT_ASKED,
    seen: EtcdSeenByAPIServer | Missing = NOT_SEEN,
    pods: EtcdPods | Missing = NO_PODS,
) -> list[Said]:
    return list(check(fact, seen, pods, NO_HISTORY, NO_OBJECTS, EtcdQuota()))


def findings(*args: Any) -> list[Finding]:
    return [x for x in said(*args) if isinstance(x, Finding)]


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(etcd(member()), id="small"),
        pytest.param(etcd(member(mib=749)), id="just below the warning"),
        pytest.param(etcd(member(mib=499, in_use=10)), id="free pages, but far from the quota"),
        pytest.param(etcd(member(mib=700, in_use=351)), id="half of it free pages"),
        pytest.param(
            etcd(member(mib=60, in_use=1, quota_bytes=100 * MIB)),
            id="a tiny database of free pages",
        ),
        pytest.param(
            etcd(member(mib=3000, quota_assumed=True)), id="above the assumed quota, no alarm"
        ),
        pytest.param(etcd(member(raft_index=5000)), id="as many entries to apply as etcd allows"),
        pytest.param(
            etcd(member(raft_index=90000, learner=True)), id="a learner that is catching up"
        ),
        pytest.param(
            etcd(member("etcd-0"), member("etcd-1", quota_bytes=2 * GIB, quota_assumed=True)),
            id="an assumed quota is not a different one",
        ),
        pytest.param(
            etcd(member("etcd-0"), member("etcd-1", cluster_id="events", quota_bytes=2 * GIB)),
            id="events have an etcd with a quota of its own",
        ),
        pytest.param(etcd(member(quota_bytes=8 * GIB)), id="the largest quota that is suggested"),
    ],
)
def test_quiet(fact: EtcdMembers) -> None:
    assert findings(fact) == []


@pytest.mark.parametrize(
    ("fact", "code", "severity", "subject", "says"),
    [
        pytest.param(
            etcd(member(mib=750, in_use=400)),
            "near-quota",
            Severity.WARNING,
            "etcd/etcd-0",
            "etcd-0 holds 750.0 of 1,000 MiB (75%); a defrag frees 350 MiB of it",
            id="at the warning, and a defrag helps",
        ),
        pytest.param(
            etcd(member(mib=900, in_use=400)),
            "near-quota",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "(90%); a defrag frees 500 MiB of it",
            id="critical, and a defrag helps",
        ),
        pytest.param(
            etcd(member(mib=800, in_use=760)),
            "outgrown",
            Severity.WARNING,
            "etcd/etcd-0",
            "a defrag would free only 40 MiB of it",
            id="in use, so that a defrag does not help",
        ),
        pytest.param(
            etcd(member(mib=950, quota_assumed=True)),
            "outgrown",
            Severity.WARNING,
            "etcd/etcd-0",
            "(95%, if its quota is etcd's default)",
            id="an assumed quota is never critical",
        ),
        pytest.param(
            etcd(member(mib=600, in_use=290)),
            "fragmented",
            Severity.WARNING,
            "etcd/etcd-0",
            "a defrag frees 310 MiB",
            id="more than half of it free pages, beyond half of the quota",
        ),
        pytest.param(
            etcd(member(mib=1001, in_use=200, alarms=nospace())),
            "nospace",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "etcd refuses every write: NOSPACE; etcd-0 holds 1,001.0 of 1,000 MiB (100%)",
            id="the alarm is raised",
        ),
        pytest.param(
            etcd(
                member("etcd-0", mib=300, alarms=nospace(1)),
                member("etcd-1", mib=950, alarms=nospace(1)),
            ),
            "nospace",
            Severity.CRITICAL,
            "etcd/etcd-1",
            "95% in use",
            id="the member whose alarm it is, not the one that tells of it",
        ),
        pytest.param(
            etcd(member("etcd-0", mib=300, alarms=nospace(1)), gaps={"etcd/etcd-1": "refused"}),
            "nospace",
            Severity.CRITICAL,
            "etcd/1",
            "NOSPACE",
            id="an unseen member raised it: nobody knows whether space is free",
        ),
        pytest.param(
            etcd(member(mib=300, quota_assumed=True, alarms=nospace())),
            "nospace",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "(30%, if its quota is etcd's default)",
            id="far below a quota that is assumed: the true one may be smaller",
        ),
        pytest.param(
            etcd(member(mib=3000, quota_assumed=True, alarms=nospace())),
            "nospace",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "etcd refuses every write: NOSPACE",
            id="above a quota that is assumed: the true one is larger, and full",
        ),
        pytest.param(
            etcd(member(mib=300, alarms=nospace())),
            "alarm-left-armed",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "refuses every write though space is free",
            id="the alarm is still armed after the defrag",
        ),
        pytest.param(
            etcd(member(alarms=(EtcdAlarm(kind="CORRUPT", member_id="0"),))),
            "corrupt",
            Severity.CRITICAL,
            "etcd/etcd-0",
            "CORRUPT",
            id="corrupt",
        ),
        pytest.param(
            etcd(member(quota_bytes=NO_QUOTA, mib=2048)),
            "quota-disabled",
            Severity.WARNING,
            "etcd/etcd-0",
            "now 2.0 GiB",
            id="the quota is switched off",
        ),
        pytest.param(
            etcd(member(quota_bytes=9 * GIB)),
            "quota-too-large",
            Severity.WARNING,
            "etcd/etcd-0",
            "9 GiB is above the 8 GiB",
            id="a larger quota than etcd suggests",
        ),
        pytest.param(
            etcd(member("etcd-0", quota_bytes=2 * GIB), member("etcd-1", quota_bytes=4 * GIB)),
            "quotas-differ",
            Severity.WARNING,
            "etcd/etcd-0",
            "(etcd-0 2 GiB, etcd-1 4 GiB)",
            id="different quotas",
        ),
        pytest.param(
            etcd(member("etcd-0", has_leader=False), member("etcd-1", has_leader=False)),
            "no-leader",
            Severity.CRITICAL,
            "etcd/etcd-0, etcd-1",
            "takes no write",
            id="no leader",
        ),
        pytest.param(
            etcd(member("etcd-0"), member("etcd-1", has_leader=False)),
            "no-leader",
            Severity.WARNING,
            "etcd/etcd-1",
            "cut off",
            id="one member does not see the leader",
        ),
        pytest.param(
            etcd(member(raft_index=9001, raft_applied_index=4000)),
            "behind",
            Severity.WARNING,
            "etcd/etcd-0",
            "5,001 committed entries",
            id="a member that can't keep up",
        ),
    ],
)
def test_found(fact: EtcdMembers, code: str, severity: Severity, subject: str, says: str) -> None:
    (finding,) = findings(fact)

    assert (finding.code, finding.severity, finding.subject) == (code, severity, subject)
    assert says in finding.message
    assert finding.remedy is not None


def test_the_member_with_the_least_room_decides_a_follower_too() -> None:
    fact = etcd(
        member("etcd-0", mib=1700, quota_bytes=2000 * MIB, leading=True),
        member("etcd-1", mib=760, in_use=700),
    )

    found = {f.code: f for f in findings(fact)}

    assert set(found) == {"near-quota", "quotas-differ"}
    assert "etcd-1 holds 760.0 of 1,000 MiB (76%)" in found["near-quota"].message


def test_every_member_with_a_quota_has_a_usage_and_all_have_their_numbers() -> None:
    fact = etcd(member("etcd-0", mib=400, in_use=300), member("etcd-1", quota_bytes=NO_QUOTA))

    usages = [x for x in said(fact) if isinstance(x, Usage)]
    metrics = {(m.name, *m.labels.values()): m.value for m in said(fact) if isinstance(m, Metric)}

    assert [(u.subject, u.used, u.limit, u.fixed) for u in usages] == [
        ("etcd/etcd-0", 400 * MIB, 1000 * MIB, 100 * MIB),
    ]
    assert usages[0].source == "size by https://10.0.0.0:2379; quota from Status"
    assert metrics["etcd_db_size_bytes", "https://10.0.0.0:2379"] == 400 * MIB
    assert metrics["etcd_db_size_in_use_bytes", "https://10.0.0.0:2379"] == 300 * MIB
    assert metrics["etcd_quota_bytes", "https://10.0.0.1:2379"] == NO_QUOTA
    assert metrics["etcd_alarm_active", "https://10.0.0.0:2379", "NOSPACE"] == 0


def test_the_alarm_is_a_metric_and_unknown_is_not_zero() -> None:
    fact = etcd(member("etcd-0", mib=999, alarms=nospace()), member("etcd-1", alarms=None))

    active = [
        (m.labels["endpoint"], m.labels["alarm"], m.value)
        for m in said(fact)
        if isinstance(m, Metric) and m.name == "etcd_alarm_active"
    ]

    assert active == [
        ("https://10.0.0.0:2379", "CORRUPT", 0),
        ("https://10.0.0.0:2379", "NOSPACE", 1),
    ]


def test_the_runbook_names_this_cluster_and_defragments_the_leader_last() -> None:
    fact = etcd(
        member("etcd-0", mib=1001, alarms=nospace(), leading=True),
        member("etcd-1", mib=1001, alarms=nospace()),
        etcdctl_flags=("--cacert=/etc/my pki/ca.crt",),
    )

    (finding,) = findings(fact)

    assert finding.remedy is not None
    commands = [c for c in finding.remedy.commands if c.startswith("etcdctl")]
    both = "etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.0:2379"
    ca = "'--cacert=/etc/my pki/ca.crt'"
    assert commands == [
        f'{both} {ca} --command-timeout=10m compact --physical "$rev"',
        f"etcdctl --endpoints=https://10.0.0.1:2379 {ca} --command-timeout=10m defrag",
        f"etcdctl --endpoints=https://10.0.0.0:2379 {ca} --command-timeout=10m defrag",
        f"{both} {ca} endpoint status --write-out=table",
        f"{both} {ca} alarm disarm",
        f"{both} {ca} alarm list",
    ]


def seen(gib: float, provider: str = "") -> EtcdSeenByAPIServer:
    return EtcdSeenByAPIServer(db_bytes={"etcd-0": int(gib * GIB)}, provider=provider)


def pods(*quotas: int | None, name: str = "etcd-cp") -> EtcdPods:
    """Pods of a control plane, each with its quota."""
    made = [
        EtcdPod(
            name=f"{name}{number}",
            namespace="kube-system",
            node=f"cp{number}",
            quota_bytes=quota,
            quota_source="--quota-backend-bytes",
            client_urls=(f"https://10.0.0.{number}:2379",),
        )
        for number, quota in enumerate(quotas)
    ]
    return EtcdPods(etcds=tuple(made))


@pytest.mark.parametrize(
    ("fact", "specs", "limit"),
    [
        pytest.param(seen(1.4), NO_PODS, 2 * GIB, id="far from the default"),
        pytest.param(seen(2.1), NO_PODS, 8 * GIB, id="above the default: it has been raised"),
        pytest.param(seen(5, "EKS"), NO_PODS, 8 * 10**9, id="an EKS cluster of 5 GiB"),
        pytest.param(seen(9, "EKS"), NO_PODS, 16 * 10**9, id="a provisioned EKS cluster"),
        pytest.param(seen(4, "GKE"), NO_PODS, 6 * 10**9, id="a GKE cluster of 4 GiB"),
        pytest.param(seen(4, "AKS"), NO_PODS, 8 * 10**9, id="an AKS cluster of 4 GiB"),
        pytest.param(seen(1.9), pods(4 * GIB), 4 * GIB, id="the quota of the pod's spec"),
        pytest.param(
            seen(1.9), pods(8 * GIB, 4 * GIB), 4 * GIB, id="the smallest of several specs"
        ),
        pytest.param(seen(1.4), pods(None), 2 * GIB, id="a spec whose config file has it"),
    ],
)
def test_the_api_server_alone_is_quiet_but_not_whole(
    fact: EtcdSeenByAPIServer, specs: EtcdPods | Missing, limit: float
) -> None:
    spoken = said(NOT_ASKED, fact, specs)

    assert [x for x in spoken if isinstance(x, Finding)] == []
    assert [x.reason for x in spoken if isinstance(x, Unseen)] == [NOT_ASKED.reason]
    assert [x.limit for x in spoken if isinstance(x, Usage)] == [limit]


@pytest.mark.parametrize(
    ("fact", "specs", "code", "severity", "says"),
    [
        pytest.param(
            seen(1.9),
            NO_PODS,
            "near-assumed-quota",
            Severity.WARNING,
            "the quota assumed: etcd's default of 2 GiB",
            id="near the default",
        ),
        pytest.param(
            seen(1.9),
            pods(2 * GIB),
            "near-quota",
            Severity.CRITICAL,
            "by the spec of pod kube-system/etcd-cp0 (--quota-backend-bytes)",
            id="near the quota of the pod's spec",
        ),
        pytest.param(
            seen(1.9),
            pods(NO_QUOTA),
            "quota-disabled",
            Severity.WARNING,
            "now 1.9 GiB",
            id="switched off in the pod's spec",
        ),
        pytest.param(
            seen(6, "EKS"), NO_PODS, "near-quota", Severity.WARNING, "of Amazon EKS", id="EKS, 80 %"
        ),
        pytest.param(
            seen(5.5, "GKE"), NO_PODS, "near-quota", Severity.CRITICAL, "of Google", id="GKE, 98 %"
        ),
        pytest.param(
            seen(6.8, "AKS"), NO_PODS, "near-quota", Severity.CRITICAL, "of Azure", id="AKS, 91 %"
        ),
    ],
)
def test_the_api_server_alone_finds(
    fact: EtcdSeenByAPIServer,
    specs: EtcdPods | Missing,
    code: str,
    severity: Severity,
    says: str,
) -> None:
    (finding,) = findings(NOT_ASKED, fact, specs)

    assert (finding.code, finding.severity) == (code, severity)
    assert says in finding.message


def test_the_events_of_kops_have_an_etcd_and_a_quota_of_their_own() -> None:
    fact = EtcdSeenByAPIServer(db_bytes={"etcd-0": GIB, "etcd-1": GIB})
    main = pods(8 * GIB, name="etcd-manager-main-")
    events = pods(4 * GIB, name="etcd-manager-events-")

    spoken = said(NOT_ASKED, fact, EtcdPods(etcds=main.etcds + events.etcds))

    assert [(x.subject, x.limit) for x in spoken if isinstance(x, Usage)] == [
        ("etcd/etcd-0", 8 * GIB),
        ("etcd/etcd-1", 4 * GIB),
    ]


def test_a_member_that_does_not_tell_its_quota_has_that_of_its_pod() -> None:
    silent = member(
        mib=950, in_use=100, quota_assumed=True, quota_source="neither tells", alarms=None
    )

    known = said(etcd(silent), NOT_SEEN, pods(1000 * MIB))
    unknown = said(etcd(silent), NOT_SEEN, NO_PODS)

    assert [f.severity for f in known if isinstance(f, Finding)] == [Severity.CRITICAL]
    assert list(unseen(known)) == []
    assert [f.severity for f in unknown if isinstance(f, Finding)] == [Severity.WARNING]
    assert list(unseen(unknown)) == ["neither tells; 2 GiB is assumed"]


def unseen(spoken: list[Said]) -> Iterator[str]:
    return (x.reason for x in spoken if isinstance(x, Unseen))


def test_an_etcd_of_the_events_that_was_not_asked_is_unseen() -> None:
    both = EtcdSeenByAPIServer(db_bytes={"etcd-0": GIB, "etcd-1": 5})

    assert list(unseen(said(etcd(member()), seen(1)))) == []
    assert list(unseen(said(etcd(member()), both))) == [
        "the API server uses etcd-0, etcd-1: give the endpoints of all"
    ]
    assert list(unseen(said(etcd(member(), member("e-1", cluster_id="events")), both))) == []


def test_members_named_by_an_old_api_server_are_no_further_etcds() -> None:
    old = EtcdSeenByAPIServer(db_bytes={"https://10.0.0.1:2379": 5, "https://10.0.0.2:2379": 5})

    assert list(unseen(said(etcd(member()), old))) == []


def test_an_etcd_of_no_members_was_not_seen() -> None:
    (unseen,) = said(etcd())

    assert unseen == Unseen(subject="etcd", reason="no member of it was seen")


@pytest.mark.parametrize("spec", [NO_QUOTA, None], ids=["off by its pod", "off by its word"])
def test_a_quota_that_is_switched_off_is_no_limit_that_breaks_first(spec: int | None) -> None:
    if spec is None:
        spoken = said(etcd(member(quota_bytes=NO_QUOTA, mib=9000)))
    else:
        spoken = said(NOT_ASKED, seen(9), pods(spec))

    assert [x.code for x in spoken if isinstance(x, Finding)] == ["quota-disabled"]
    assert not [x for x in spoken if isinstance(x, Usage)]
