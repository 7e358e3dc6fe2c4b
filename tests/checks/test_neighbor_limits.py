"""The thresholds against the cluster, and against themselves."""

import pytest

from k8sdiag import neighbors
from k8sdiag.checks.neighbor_limits import NeighborLimits, check
from k8sdiag.facts.neighbor import NeighborTable, NeighborTables
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Finding, Missing, Said, Unseen

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(
    thresholds: tuple[int | None, int | None, int | None], nodes: Nodes | Missing = ALONE
) -> list[Said]:
    first, second, third = thresholds
    table = NeighborTable(
        family="ipv4", entries=1, gc_thresh1=first, gc_thresh2=second, gc_thresh3=third
    )
    return list(check(NeighborTables(host="node-1", tables=(table,)), nodes, NeighborLimits()))


def cluster(count: int) -> Nodes:
    return Nodes(nodes=tuple(Node(name=f"node-{i}") for i in range(1, count + 1)))


@pytest.mark.parametrize(
    ("thresholds", "nodes"),
    [
        pytest.param((128, 512, 1024), ALONE, id="the default on a host alone"),
        pytest.param((128, 512, 1024), cluster(500), id="the default in a middling cluster"),
        pytest.param((0, 15_360, 16_384), cluster(5000), id="as Amazon Linux ships it"),
        pytest.param((1024, 1024, 1024), ALONE, id="all the same"),
    ],
)
def test_quiet(thresholds: tuple[int, int, int], nodes: Nodes | Missing) -> None:
    assert said(thresholds, nodes) == []


def test_the_default_is_too_small_for_a_large_cluster() -> None:
    (finding,) = said((128, 512, 1024), cluster(1000))

    assert isinstance(finding, Finding)
    assert finding.code == "too-small"
    assert "needs up to 1,330" in finding.message
    assert finding.remedy
    assert "net.ipv6.neigh.default.gc_thresh3 = 4096\n" in finding.remedy.manifest
    assert "gc_thresh1" not in finding.remedy.manifest


def test_thresholds_out_of_order() -> None:
    (finding,) = said((128, 20_000, 16_384))

    assert isinstance(finding, Finding)
    assert finding.code == "out-of-order"
    assert finding.remedy
    assert "sysctl -w net.ipv4.neigh.default.gc_thresh3=32768" in finding.remedy.commands


@pytest.mark.parametrize(
    ("thresholds", "nodes", "reason"),
    [
        pytest.param((None, None, None), ALONE, "can't be read", id="no sysctl"),
        pytest.param(
            (128, 512, 1024), Nodes(nodes=(Node(name="x"),)), "no node of the cluster", id="outside"
        ),
        pytest.param((128, 512, 1024), Missing(reason="403"), "403", id="no cluster"),
    ],
)
def test_what_cannot_be_judged_is_said(
    thresholds: tuple[int | None, int | None, int | None], nodes: Nodes | Missing, reason: str
) -> None:
    (unseen,) = said(thresholds, nodes)

    assert isinstance(unseen, Unseen)
    assert reason in unseen.reason


@pytest.mark.parametrize(
    ("host", "node", "same"),
    [
        ("ip-10-0-0-7", "ip-10-0-0-7.ec2.internal", True),
        ("ip-10-0-0-7.ec2.internal", "ip-10-0-0-7", True),
        ("Worker-1", "worker-1", True),
        ("worker-1", "worker-10", False),
        ("a.one.example", "a.two.example", False),
    ],
)
def test_a_node_goes_by_its_short_or_its_full_name(host: str, node: str, same: bool) -> None:
    assert neighbors.is_node(host, node) is same


@pytest.mark.parametrize(
    ("entries", "gc_thresh3"), [(1, 4096), (1330, 4096), (2048, 4096), (2049, 8192), (5330, 16_384)]
)
def test_the_advice_is_twice_the_need_as_a_power_of_two(entries: int, gc_thresh3: int) -> None:
    assert neighbors.advised(entries) == gc_thresh3
