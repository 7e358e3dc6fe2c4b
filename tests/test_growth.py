"""When etcd is full: quiet where growth can't be told, a range where it can."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks.etcd_quota import check
from k8sdiag.facts.etcd import EtcdMember, EtcdMembers, EtcdSeenByAPIServer
from k8sdiag.facts.etcd_history import EtcdHistory, SizeSample
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.growth import between, full
from k8sdiag.model import Finding, Missing, Severity, Snapshot, Unseen

HOUR = 3600.0
DAY = 24 * HOUR
MIB = 1 << 20
QUOTA = 2048 * MIB
NOTHING = Missing(reason="not asked", asked=False)
NOW = datetime(2026, 3, 11, tzinfo=UTC)


def looks(*sizes: tuple[float, float, float | None]) -> tuple[SizeSample, ...]:
    """(days before now, MiB of the database, MiB in use)."""
    return tuple(
        SizeSample(
            at=NOW.timestamp() - days * DAY,
            db_bytes=int(db * MIB),
            in_use_bytes=None if used is None else int(used * MIB),
        )
        for days, db, used in sizes
    )


QUIET = [
    pytest.param(looks((0, 1000, 900)), id="one look"),
    pytest.param((), id="no look"),
    pytest.param(looks((0.1, 1000, 900), (0, 1900, 1800)), id="two hours are too short"),
    pytest.param(looks((5, 1000, 900), (0, 1000, 800)), id="shrinking"),
    pytest.param(looks((5, 1000, 900), (0, 1000, 900)), id="the same size"),
    pytest.param(looks((5, 1000, 900), (2, 1000, 700), (0, 1100, 950)), id="fell, then rose"),
    pytest.param(looks((5, 500, 400), (2, 1000, 900), (0, 1000, 900)), id="rose, then stands"),
    pytest.param(looks((5, 500, 400), (2, 501, 401), (0, 1300, 1200)), id="one import of data"),
    pytest.param(looks((5, 0, 0), (0, 1000, 900)), id="a restart tells 0 for a moment"),
    pytest.param(looks((5, 1000, None), (0, 500, None)), id="a defrag, and nobody tells in use"),
    pytest.param(looks((5, 1000, 900), (0, 3000, 2900)), id="full already"),
]


@pytest.mark.parametrize("samples", QUIET)
def test_nothing_is_said(samples: Sequence[SizeSample]) -> None:
    assert full(samples, QUOTA, 4 * HOUR) is None


def days(samples: Sequence[SizeSample]) -> tuple[float, float]:
    found = full(samples, QUOTA, 4 * HOUR)
    assert found is not None
    assert found.now == NOW.timestamp()
    return (found.earliest - found.now) / DAY, (found.latest - found.now) / DAY


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(
            looks((10, 1048, 1048), (0, 1548, 1548)), (10, 10), id="two looks, all of it in use"
        ),
        pytest.param(
            looks((10, 1848, 1048), (0, 1648, 1548)), (10, 10), id="after a defrag: by what is used"
        ),
        pytest.param(
            looks((10, 1548, 1048), (0, 1948, 1548)), (2.5, 10), id="the database grows too"
        ),
        pytest.param(
            looks((10, 1048, 1048), (5, 1148, 1148), (0, 1548, 1548)),
            (6.25, 25),
            id="faster of late: between the rates of the halves",
        ),
        pytest.param(looks((10, 1048, None), (0, 1548, None)), (10, 10), id="the size alone"),
    ],
)
def test_the_range(samples: Sequence[SizeSample], expected: tuple[float, float]) -> None:
    assert days(samples) == pytest.approx(expected, rel=0.01)
    assert days(samples[::-1]) == days(samples)


def member(db: int, used: int, *, quota: int = QUOTA, **given: object) -> EtcdMember:
    return EtcdMember(
        id="a",
        name="etcd-0",
        endpoint="https://10.0.0.1:2379",
        db_bytes=db * MIB,
        in_use_bytes=used * MIB,
        quota_bytes=quota,
        quota_source="Status",
        alarms=(),
        **given,  # type: ignore[arg-type]
    )


def judged(
    one: EtcdMember, samples: Sequence[SizeSample], key: str = "etcd/etcd-0"
) -> list[Finding]:
    history = EtcdHistory(sizes={key: tuple(samples)})
    said = check(EtcdMembers(members=(one,)), NOTHING, NOTHING, history, NOTHING, EtcdQuota())
    return [f for f in said if isinstance(f, Finding) and f.code == "will-be-full"]


SLOW = looks((10, 1048, 1048), (0, 1148, 1148))
FAST = looks((10, 548, 548), (0, 1148, 1148))
HOURS = looks((0.25, 1048, 1048), (0, 1148, 1148))


@pytest.mark.parametrize(
    ("one", "samples"),
    [
        pytest.param(member(1148, 1148), SLOW, id="in ninety days"),
        pytest.param(member(1148, 1148, quota=-1), FAST, id="no quota to reach"),
        pytest.param(
            member(1148, 1148), looks((0.25, 1128, 1128), (0, 1148, 1148)), id="too far ahead"
        ),
    ],
)
def test_quiet(one: EtcdMember, samples: Sequence[SizeSample]) -> None:
    assert judged(one, samples) == []


@pytest.mark.parametrize(
    ("one", "samples", "severity"),
    [
        pytest.param(member(1148, 1148), FAST, Severity.WARNING, id="in two weeks"),
        pytest.param(member(1148, 1148), HOURS, Severity.WARNING, id="in two days and more"),
        pytest.param(
            member(1148, 1148),
            looks((0.25, 748, 748), (0, 1148, 1148)),
            Severity.CRITICAL,
            id="tomorrow",
        ),
        pytest.param(
            member(1148, 1148, quota_assumed=True),
            looks((0.25, 748, 748), (0, 1148, 1148)),
            Severity.WARNING,
            id="tomorrow, if the quota is what we think",
        ),
    ],
)
def test_found(one: EtcdMember, samples: Sequence[SizeSample], severity: Severity) -> None:
    (finding,) = judged(one, samples)

    assert (finding.subject, finding.severity) == ("etcd/etcd-0", severity)


def test_the_message_has_the_dates() -> None:
    (finding,) = judged(member(1148, 1148), looks((10, 548, 548), (4, 848, 848), (0, 1148, 1148)))

    assert finding.message == (
        "at its growth of 60.0 MiB a day, watched for 10.0 days, it reaches its quota of 2,048 MiB "
        "between 2026-03-23 and 2026-03-29"
    )
    (finding,) = judged(member(1148, 1148), FAST)
    assert finding.message.endswith("about 2026-03-26 (two looks give no range)")


def test_an_endpoint_that_is_no_url_costs_only_the_history_under_its_host() -> None:
    odd = replace(member(1148, 1148), endpoint="https://[x:2379")

    assert judged(odd, FAST) != []
    assert judged(odd, FAST, key="x") == []


def test_a_range_without_an_end_is_told_as_such() -> None:
    """The data grow, the database finds free pages for nearly all of it."""
    (finding,) = judged(
        member(1148, 1148), looks((10, 1147.999, 548), (4, 1147.9996, 848), (0, 1148, 1148))
    )

    assert finding.message.endswith("about 2026-03-23 at the earliest, or not for years")


def test_prometheus_knows_members_by_their_host() -> None:
    assert judged(member(1148, 1148), FAST, key="10.0.0.1")
    assert not judged(member(1148, 1148), FAST, key="10.0.0.2")


def snapshot(days_ago: float, **facts: object) -> Snapshot:
    when = NOW - timedelta(days=days_ago)
    return Snapshot(cluster="prod", taken_at=when, facts=facts)


Facts = Callable[[int], dict[str, object]]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(
            lambda size: {"EtcdMembers": EtcdMembers(members=(member(size, size),))}, id="members"
        ),
        pytest.param(
            lambda size: {
                "EtcdSeenByAPIServer": EtcdSeenByAPIServer(db_bytes={"etcd-0": size * MIB})
            },
            id="the API server alone",
        ),
    ],
)
def test_two_snapshots(facts: Facts) -> None:
    history = between(snapshot(10, **facts(548)), snapshot(0, **facts(1148)))

    assert history is not None
    assert days(history.sizes["etcd/etcd-0"]) == pytest.approx((15, 15), rel=0.01)


def test_a_member_that_was_replaced_begins_anew() -> None:
    then = EtcdMembers(members=(replace(member(548, 548), id="b"),))
    now = EtcdMembers(members=(member(1148, 1148),))

    assert between(snapshot(10, EtcdMembers=then), snapshot(0, EtcdMembers=now)) is None
    assert between(snapshot(10), snapshot(0, EtcdMembers=now)) is None


def test_history_without_a_size_of_today_judges_nothing() -> None:
    history = EtcdHistory(sizes={"etcd/etcd-0": FAST})

    (said,) = check(NOTHING, NOTHING, NOTHING, history, NOTHING, EtcdQuota())

    assert isinstance(said, Unseen)


def test_by_the_api_server_alone_it_is_never_critical() -> None:
    history = EtcdHistory(sizes={"etcd/etcd-0": looks((0.25, 748, None), (0, 1148, None))})
    seen = EtcdSeenByAPIServer(db_bytes={"etcd-0": 1148 * MIB})
    said = check(NOTHING, seen, NOTHING, history, NOTHING, EtcdQuota())
    (finding,) = [f for f in said if isinstance(f, Finding)]

    assert (finding.code, finding.severity) == ("will-be-full", Severity.WARNING)
    assert "the quota that is assumed of 2,048 MiB" in finding.message


def test_the_largest_resources_are_named() -> None:
    stored = [
        StoredResource(name="events", objects=900, size_bytes=700, sampled=100),
        StoredResource(name="pods", objects=10, size_bytes=300),
    ]
    history = EtcdHistory(sizes={"etcd/etcd-0": FAST})
    seen = EtcdMembers(members=(member(1148, 1148),))
    objects = EtcdObjects(resources=tuple(stored))
    said = check(seen, NOTHING, NOTHING, history, objects, EtcdQuota())
    (finding,) = [f for f in said if isinstance(f, Finding)]

    assert finding.message.endswith("MiB of live objects: events 70%, pods 30%")
