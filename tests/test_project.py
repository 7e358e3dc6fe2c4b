"""The forecast at another size of the cluster: the pure part, and the command."""

import json
import re
from datetime import UTC, datetime

import pytest

from k8sdiag.forecast import Projected, UnknownSizeError, project
from k8sdiag.model import Outcome, Report, Status, Usage
from tests.test_cli import k8sdiag, said


def report(*usages: Usage, **scale: float) -> Report:
    outcome = Outcome(check="tank", title="The tank", status=Status.OK, usages=usages)
    return Report(
        cluster="c",
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        version="0",
        outcomes=(outcome,),
        scale=scale or {"nodes": 100.0, "pods": 2000.0, "pods_per_node": 20.0},
    )


def usage(used: float, driver: str, *, limit_id: str = "l", fixed: float = 0) -> Usage:
    return Usage(
        limit_id=limit_id,
        subject="cluster",
        used=used,
        limit=1000,
        unit="entries",
        driver=driver,
        fixed=fixed,
    )


def projected(used: Usage, nodes: float, dense: float | None = None) -> Projected:
    (limit,) = project(report(used), nodes, dense).limits
    return limit


@pytest.mark.parametrize(
    ("used", "nodes", "dense", "at_target", "breaks"),
    [
        pytest.param(usage(100, "nodes"), 200, None, 200, 1000, id="nodes"),
        pytest.param(usage(100, "nodes", fixed=50), 200, None, 150, 1900, id="a fixed part"),
        pytest.param(usage(100, "nodes"), 200, 40, 200, 1000, id="nodes, not density"),
        pytest.param(usage(100, "pods"), 200, None, 200, 1000, id="pods, as dense as now"),
        pytest.param(usage(100, "pods"), 200, 40, 400, 500, id="pods, twice as dense"),
        pytest.param(usage(100, "pods_per_node"), 900, None, 100, None, id="density alone"),
        pytest.param(usage(600, "pods_per_node"), 100, 40, 1200, 1, id="too dense for any node"),
        pytest.param(usage(100, "configuration"), 200, None, 100, None, id="what nobody grows"),
        pytest.param(usage(100, "moon"), 200, None, None, None, id="an unknown driver"),
        pytest.param(usage(1000, "moon"), 200, None, None, 100, id="full, whatever drives it"),
        pytest.param(usage(2000, "nodes"), 200, None, 4000, 50, id="broken before"),
        pytest.param(usage(10, "nodes", fixed=10), 200, None, 10, None, id="all of it fixed"),
    ],
)
def test_a_limit_at_another_size(
    used: Usage, nodes: float, dense: float | None, at_target: float, breaks: float
) -> None:
    limit = projected(used, nodes, dense)

    assert (limit.used_at_target, limit.breaks_at_nodes) == (at_target, breaks)


def test_at_the_size_where_it_breaks_the_limit_is_used_up() -> None:
    used = usage(137, "pods", fixed=11)
    at = projected(used, 100, 33).breaks_at_nodes

    assert at is not None
    assert projected(used, at, 33).used_at_target == pytest.approx(used.limit)


def test_the_first_to_break_stands_first_and_what_never_does_last() -> None:
    usages = (
        usage(900, "moon", limit_id="moon"),
        usage(10, "nodes", limit_id="late"),
        usage(500, "nodes", limit_id="soon"),
    )
    projection = project(report(*usages), 200)

    assert [limit.usage.limit_id for limit in projection.limits] == ["soon", "late", "moon"]
    assert projection.first == projection.limits[0]


def test_what_breaks_without_more_nodes_stands_beside_what_they_break() -> None:
    usages = (
        usage(2000, "moon", limit_id="moon"),
        usage(300, "pods_per_node", limit_id="dense"),
        usage(500, "nodes", limit_id="soon"),
    )
    sparse, dense = project(report(*usages), 50), project(report(*usages), 50, 80)

    assert [p.first and p.first.usage.limit_id for p in (sparse, dense)] == ["moon", "dense"]
    assert [p.first_by_nodes and p.first_by_nodes.usage.limit_id for p in (sparse, dense)] == [
        "soon",
        "soon",
    ]
    broken = {limit.usage.limit_id for limit in sparse.limits if limit.breaks_at_target}
    assert broken == {"moon"}  # also where the cluster gets smaller


def test_nothing_that_breaks_is_no_first() -> None:
    assert project(report(usage(10, "moon")), 200).first is None


def test_a_smaller_cluster_is_no_better_for_what_nodes_do_not_break() -> None:
    done = k8sdiag("forecast", "--demo", "--nodes", "500")

    assert done.returncode == 1
    assert "node-cold-start" in done.stdout


def test_too_many_pods_on_each_node_are_not_said_in_nodes() -> None:
    args = ("forecast", "--demo", "--nodes", "500", "--pods-per-node", "200")
    first = k8sdiag(*args, "--check", "cluster-size").stdout.splitlines()[2]

    assert first.startswith(
        "pods-per-node of cluster breaks at 200.0 pods a node, whatever the number of nodes. By "
        "nodes, pods-per-namespace of namespace/"
    )


def test_what_could_not_be_measured_is_in_the_document() -> None:
    done = k8sdiag("forecast", "--demo", "--nodes", "500", "-o", "json")
    forecast = json.loads(done.stdout)

    assert forecast["now"]["nodes"] == 1000
    assert "held by a real API server" in forecast["lab"]
    unmeasured = {entry["check"]: entry["reason"] for entry in forecast["notMeasured"]}
    assert "999 of 1,000 nodes" in unmeasured["neighbor-table"]


def test_a_cluster_of_unknown_size_is_not_guessed() -> None:
    with pytest.raises(UnknownSizeError, match="pods per node are not known"):
        project(report(usage(10, "nodes"), nodes=3.0), 200)


def test_the_demo_says_what_breaks_first_and_at_how_many_nodes() -> None:
    done = k8sdiag("forecast", "--demo", "--nodes", "3000", "-o", "json")
    forecast = json.loads(done.stdout)

    assert done.returncode == 1
    assert forecast["kind"] == "Forecast"
    assert forecast["target"] == {"nodes": 3000, "podsPerNode": pytest.approx(20, abs=3)}
    assert forecast["first"]["limitId"] == forecast["limits"][0]["limitId"]
    at = [limit["breaksAt"] for limit in forecast["limits"]]
    known = [value for value in at if value is not None]
    assert at == sorted(known) + [None] * (len(at) - len(known))


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_people_read_the_first_to_break_in_the_first_line(style: str) -> None:
    lines = k8sdiag("forecast", "--demo", "--nodes", "3000", "-o", style).stdout.splitlines()

    assert "LAB RECORDING" in lines[0]
    assert re.search(r"(broke already|breaks first), at [\d,]+ nodes\.$", lines[2])
    assert any("etcd-db-size" in line and "nodes" in line for line in lines)


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["--demo"], id="no size"),
        pytest.param(["--demo", "--nodes", "0"], id="no nodes"),
        pytest.param(["--demo", "--nodes", "5", "--pods-per-node", "0"], id="no pods"),
        pytest.param(["--demo", "--nodes", "5", "--context", "x"], id="a recording and a cluster"),
    ],
)
def test_a_size_that_is_none(args: list[str]) -> None:
    done = k8sdiag("forecast", *args)

    assert said(done)
    assert done.returncode == 2


def test_without_a_cluster_there_is_no_forecast() -> None:
    done = k8sdiag("forecast", "--nodes", "100")

    assert "no kubeconfig" in said(done)
    assert done.returncode == 3
