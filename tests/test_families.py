"""A report as Prometheus sees it: each family once, each series once."""

from datetime import UTC, datetime

import pytest

from k8sdiag.exposition import Family, text
from k8sdiag.families import families, looks
from k8sdiag.model import (
    Finding,
    Metric,
    Missing,
    Outcome,
    Report,
    Severity,
    Snapshot,
    Status,
    Usage,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(check: str, *metrics: Metric, status: Status = Status.OK) -> Outcome:
    return Outcome(check=check, title=check, status=status, metrics=metrics)


def report(*outcomes: Outcome, lab: str = "") -> Report:
    return Report(cluster="c", taken_at=NOW, version="1", outcomes=outcomes, lab=lab)


def of(*outcomes: Outcome, states: bool = True, lab: str = "") -> dict[str, Family]:
    found = list(families(report(*outcomes, lab=lab), states=states))
    assert len({f.name for f in found}) == len(found)
    return {f.name: f for f in found}


def rows(family: Family) -> list[tuple[str, dict[str, str], float]]:
    return [(s.name, s.labels, s.value) for s in family.samples]


def test_one_family_for_checks_that_say_the_same_and_of_a_series_the_first() -> None:
    def metric(pool: str, value: float) -> Metric:
        return Metric(name="nodes", help="Nodes.", value=value, labels={"pool": pool})

    found = of(outcome("b", metric("x", 9), metric("y", 2)), outcome("a", metric("x", 1)))

    assert rows(found["k8sdiag_nodes"]) == [
        ("k8sdiag_nodes", {"pool": "x"}, 1),
        ("k8sdiag_nodes", {"pool": "y"}, 2),
    ]


def test_a_counter_keeps_its_one_total() -> None:
    fulls = Metric(name="table_fulls_total", help="Refused.", value=3, kind="counter")

    (sample,) = rows(of(outcome("a", fulls))["k8sdiag_table_fulls"])

    assert sample == ("k8sdiag_table_fulls_total", {}, 3)


def test_findings_are_counted_and_none_is_a_zero() -> None:
    critical = Finding(code="a/x", severity=Severity.CRITICAL, subject="s", message="m")
    loud = Outcome(check="a", title="a", status=Status.FINDINGS, findings=(critical, critical))

    found = of(loud, outcome("b"))["k8sdiag_check_findings"]

    assert [(s.labels["check"], s.labels["severity"], s.value) for s in found.samples] == [
        ("a", "warning", 0),
        ("a", "critical", 2),
        ("b", "warning", 0),
        ("b", "critical", 0),
    ]


def test_what_was_not_judged_is_no_success() -> None:
    found = of(outcome("a"), outcome("b", status=Status.SKIPPED))["k8sdiag_check_success"]

    assert [s.value for s in found.samples] == [1, 0]


def test_the_state_of_a_check_only_where_it_is_affordable() -> None:
    status = of(outcome("a"))["k8sdiag_check_status"]

    assert [s.labels["status"] for s in status.samples if s.value] == ["ok"]
    assert "k8sdiag_check_status" not in of(outcome("a"), states=False)


def test_a_lab_recording_says_so() -> None:
    assert "k8sdiag_lab_recording_info" not in of(outcome("a"))
    assert rows(of(outcome("a"), lab="test bed")["k8sdiag_lab_recording_info"]) == [
        ("k8sdiag_lab_recording_info", {"recording": "test bed"}, 1)
    ]


def test_a_collector_that_was_not_asked_has_no_series() -> None:
    snapshot = Snapshot(
        cluster="c",
        taken_at=NOW,
        missing={
            "KubeletSettings": Missing(reason="no such file"),
            "Nodes": Missing(reason="this host alone", asked=False),
        },
        seconds={"KubeletSettings": 0.25},
    )

    duration, success, _ages = looks(snapshot, {})

    assert [(s.labels["collector"], s.value) for s in duration.samples] == [
        ("kubelet_settings", 0.25)
    ]
    assert [s.value for s in success.samples] == [0]


def usages(count: int) -> Outcome:
    found = tuple(
        Usage(
            limit_id="pods-per-node",
            subject=f"node/n{i}",
            used=float(i),
            limit=float(count),
            unit="pods",
            driver="pods",
        )
        for i in range(count)
    )
    return Outcome(check="a", title="a", status=Status.OK, usages=found)


def test_of_many_subjects_the_nearest_to_the_limit_are_shown_and_the_others_counted() -> None:
    found = {f.name: f for f in families(report(usages(5_000)), most_usages=3)}

    assert [s.labels["subject"] for s in found["k8sdiag_usage"].samples] == [
        "node/n4999",
        "node/n4998",
        "node/n4997",
    ]
    assert rows(found["k8sdiag_usages_left_out"]) == [
        ("k8sdiag_usages_left_out", {"limit_id": "pods-per-node"}, 4997)
    ]


def test_without_a_bound_nothing_is_left_out() -> None:
    found = {f.name: f for f in families(report(usages(50)))}

    assert len(found["k8sdiag_usage"].samples) == 50
    assert not [name for name in found if name.endswith("left_out")]


def test_five_thousand_nodes_stay_below_ten_thousand_series() -> None:
    """More checks, limits and metrics than there are, each with a number for every node."""
    nodes = [f"node/n{i}" for i in range(5_000)]

    def everything(check: int) -> Outcome:
        said: list[Usage] = []
        metrics: list[Metric] = []
        for node in nodes:
            limit, name = f"limit-{check}", f"metric_{check}"
            labels = {"node": node}
            said.append(
                Usage(limit_id=limit, subject=node, used=1, limit=2, unit="x", driver="nodes")
            )
            metrics.append(Metric(name=name, help="A number.", value=1, labels=labels))
        return Outcome(
            check=f"check-{check}",
            title="t",
            status=Status.OK,
            usages=tuple(said),
            metrics=tuple(metrics),
        )

    outcomes = [everything(check) for check in range(40)]
    found = families(report(*outcomes), most_usages=20, most_series=100)

    assert 5_000 < sum(len(f.samples) for f in found) < 10_000


def test_pods_without_a_workload_are_counted_by_namespace_and_the_nearest_stands_for_them() -> None:
    def of_pod(name: str, used: float) -> Usage:
        subject = f"pod/shop/{name}"
        return Usage(
            limit_id="x", subject=subject, used=used, limit=10, unit="domains", driver="pods"
        )

    pods = (of_pod("a", 3), of_pod("b", 7), of_pod("c", 5))
    found = of(Outcome(check="a", title="a", status=Status.OK, usages=pods))

    assert rows(found["k8sdiag_usage"]) == [
        ("k8sdiag_usage", {"limit_id": "x", "subject": "pods/shop", "unit": "domains"}, 7)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        Metric(name="with-dash", help="x", value=1),
        Metric(name="x", help="x", value=1, labels={"a-b": "c"}),
        Metric(name="x", help="x", value=1, labels={"a": 1}),  # type: ignore[dict-item]
        Metric(name="x", help="x", value=None),  # type: ignore[arg-type]
        Metric(name="x", help="x", value=1, kind="histogram"),
    ],
    ids=["name", "label", "label's value", "value", "kind"],
)
def test_a_metric_that_is_none_costs_its_check_and_nobody_else(wrong: Metric) -> None:
    right = Metric(name="right", help="Right.", value=1)

    found = of(outcome("a", wrong), outcome("b", right))

    assert b"k8sdiag_right 1.0" in text(found.values())
    assert rows(found["k8sdiag_check_success"]) == [
        ("k8sdiag_check_success", {"check": "a"}, 0),
        ("k8sdiag_check_success", {"check": "b"}, 1),
    ]
