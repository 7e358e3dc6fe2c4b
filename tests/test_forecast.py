from datetime import UTC, datetime

import pytest

from k8sdiag.forecast import Projection, breaks_at, nearest, project
from k8sdiag.model import Outcome, Report, Status, Usage


def usage(
    used: float,
    limit: float,
    *,
    limit_id: str = "neighbor-ipv4",
    subject: str = "node/a",
    driver: str = "nodes",
    fixed: float = 0.0,
) -> Usage:
    return Usage(
        limit_id=limit_id,
        subject=subject,
        used=used,
        limit=limit,
        unit="entries",
        driver=driver,
        fixed=fixed,
    )


@pytest.mark.parametrize(
    ("used", "now"),
    [
        pytest.param(usage(512, 1024), None, id="the driver's present value is unknown"),
        pytest.param(usage(512, 1024), 0.0, id="there is none of the driver"),
        pytest.param(usage(0, 1024), 500.0, id="nothing is used"),
        pytest.param(usage(512, 1024, fixed=512), 500.0, id="all of it is fixed"),
        pytest.param(usage(512, 1024, fixed=600), 500.0, id="the fixed part is the larger one"),
    ],
)
def test_no_breaking_point_is_invented(used: Usage, now: float | None) -> None:
    assert breaks_at(used, now) is None


@pytest.mark.parametrize(
    ("used", "at"),
    [
        pytest.param(usage(512, 1024), 1000.0, id="half used breaks at twice the nodes"),
        pytest.param(usage(512, 1024, fixed=256), 1500.0, id="a fixed part puts it off"),
        pytest.param(usage(1024, 1024), 500.0, id="at the limit it breaks now"),
        pytest.param(usage(2048, 1024), 250.0, id="past the limit it broke before"),
        pytest.param(usage(2000, 1024, fixed=1100), 0.0, id="the fixed part alone is too much"),
    ],
)
def test_the_breaking_point(used: Usage, at: float) -> None:
    assert breaks_at(used, 500.0) == at


def test_at_the_breaking_point_the_formula_gives_the_limit() -> None:
    used = usage(700, 1024, fixed=123)
    at = breaks_at(used, 321.0)

    assert at is not None
    assert used.fixed + (used.used - used.fixed) * at / 321.0 == pytest.approx(used.limit)


def test_each_limit_is_there_once_by_its_worst_subject_and_the_fullest_is_first() -> None:
    found = nearest(
        [
            usage(10, 100, limit_id="pods", subject="cluster", driver="pods"),
            usage(30, 100, subject="node/a"),
            usage(90, 100, subject="node/b"),
            usage(90, 100, subject="node/c"),
            usage(50, 100, limit_id="etcd-db-size", subject="etcd/0", driver="time"),
        ],
        {"nodes": 100.0, "pods": 5000.0},
    )

    assert [(n.usage.limit_id, n.usage.subject, n.breaks_at) for n in found] == [
        ("neighbor-ipv4", "node/b", pytest.approx(111.1, abs=0.1)),
        ("etcd-db-size", "etcd/0", None),
        ("pods", "cluster", 50000.0),
    ]


@pytest.mark.parametrize("limit", [0.0, -1.0], ids=["unlimited", "switched off"])
def test_what_is_no_limit_never_leads(limit: float) -> None:
    found = [usage(1, 2, limit_id="a"), usage(1, limit, limit_id="b")]

    assert [n.usage.limit_id for n in nearest(found, {})] == ["a"]
    assert [p.usage.limit_id for p in projected(*found).limits] == ["a"]


def test_what_a_configuration_has_room_for_breaks_nothing() -> None:
    full = usage(3, 3, limit_id="dns-nameservers", driver="configuration")
    found = [full, usage(1, 100, limit_id="nodes")]

    assert [n.usage.limit_id for n in nearest(found, {})] == ["nodes", "dns-nameservers"]
    assert not any(n.broken for n in nearest(found, {}))
    first, last = projected(*found).limits
    assert first.usage.limit_id == "nodes"
    assert (last.breaks_at_nodes, last.breaks_at_target) == (None, False)


def test_what_a_configuration_has_no_room_for_is_broken() -> None:
    over = usage(4, 3, limit_id="dns-nameservers", driver="configuration")
    found = [usage(1, 100, limit_id="nodes"), over]

    assert nearest(found, {})[0].broken
    first = projected(*found).limits[0]
    assert (first.usage, first.breaks_at_target) == (over, True)


def projected(*usages: Usage) -> Projection:
    outcome = Outcome(check="c", title="t", status=Status.OK, usages=usages)
    scale = {"nodes": 10.0, "pods_per_node": 10.0}
    when = datetime(2026, 3, 11, tzinfo=UTC)
    report = Report(cluster="c", taken_at=when, version="1", outcomes=(outcome,), scale=scale)
    return project(report, nodes=20.0)
