"""The thresholds against the cluster, and against themselves."""

from array import array

import pytest

from k8sdiag import neighbors
from k8sdiag.checks.neighbor_limits import NeighborLimits, check
from k8sdiag.facts.neighbor import NeighborTable, NeighborTables
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods, Profile, Workload, pack
from k8sdiag.forecast import breaks_at
from k8sdiag.model import Finding, Missing, Said, Unseen, Usage

ALONE = Missing(reason="this command looks at this host alone", asked=False)
DEFAULT = (128, 512, 1024)
AMAZON = (0, 15_360, 16_384)
Thresholds = tuple[int | None, int | None, int | None]


def said(
    ipv4: Thresholds,
    nodes: Nodes | Missing = ALONE,
    pods: Pods | Missing = ALONE,
    ipv6: Thresholds | None = None,
) -> list[Said]:
    tables = [
        NeighborTable(family=f, entries=1, gc_thresh1=t[0], gc_thresh2=t[1], gc_thresh3=t[2])
        for f, t in (("ipv4", ipv4), ("ipv6", ipv6))
        if t
    ]
    fact = NeighborTables(host="node-1", tables=tuple(tables))
    return list(check(fact, nodes, pods, NeighborLimits()))


def cluster(count: int, cidr: str = "10.0.0.0/24") -> Nodes:
    return Nodes(
        nodes=tuple(Node(name=f"node-{i}", pod_cidrs=(cidr,)) for i in range(1, count + 1))
    )


def pods(network: str, per_node: int) -> Pods:
    """Pods of one node; the pod network's own is among them."""
    profile = Profile(workload=Workload("kube-system", "DaemonSet", network))
    column = pack(array("I", [0] * per_node))
    return Pods(profiles=(profile,), nodes=("node-1",), profile_column=column, node_column=column)


QUIET = {
    "the default on a host alone": (DEFAULT, ALONE, ALONE, None),
    "the default in a middling cluster": (DEFAULT, cluster(500), ALONE, None),
    "forty pods on a bridge seldom all talk to each other": (
        DEFAULT,
        cluster(50),
        pods("kube-flannel-ds", 40),
        None,
    ),
    "as Amazon Linux ships it": (AMAZON, cluster(5000), pods("aws-node", 110), AMAZON),
    "gc_thresh1 above the default where addresses are not reused": (
        (4096, 8192, 16_384),
        cluster(1000),
        pods("calico-node", 110),
        None,
    ),
    "as AKS ships it, in a cluster without IPv6": (
        (4096, 8192, 16_384),
        cluster(2000),
        pods("cilium", 50),
        DEFAULT,
    ),
    "as AKS ships it, in a small cluster of both families": (
        (4096, 8192, 16_384),
        cluster(5, "fd00::/64"),
        pods("cilium", 50),
        DEFAULT,
    ),
    "all the same": ((1024, 1024, 1024), ALONE, ALONE, None),
}


@pytest.mark.parametrize("case", QUIET.values(), ids=QUIET)
def test_quiet(case: tuple[Thresholds, Nodes | Missing, Pods | Missing, Thresholds | None]) -> None:
    assert [x for x in said(*case) if not isinstance(x, Usage)] == []


LOUD = {
    "the default in a large cluster": (
        (DEFAULT, cluster(501), ALONE, None),
        ("too-small", "the kernel default; a node that talks to all 501 nodes needs 831", 16_384),
    ),
    "raised, but not for so many nodes": (
        ((128, 2048, 4096), cluster(5000), pods("calico-node", 110), None),
        ("too-small", "a node that talks to all 5,000 nodes needs 5,330", 16_384),
    ),
    "a bridge needs more when all its pods talk": (
        (DEFAULT, cluster(1000), pods("kube-flannel-ds", 110), None),
        (
            "too-small",
            "up to 13,210 on its bridge network (a guess by the DaemonSet kube-flannel-ds)",
            32_768,
        ),
    ),
    "a flat network has the pods of a subnet on it": (
        (DEFAULT, cluster(1000), pods("aws-node", 50), None),
        ("too-small", "up to 17,534 on its flat network", 65_536),
    ),
    "IPv6 left at its default where both families are in use": (
        ((4096, 8192, 16_384), cluster(400, "fd00::/64"), pods("cilium", 50), DEFAULT),
        ("one-family", "the IPv6 (NDP) table may hold 1,024", 16_384),
    ),
    "out of order": (
        ((128, 20_000, 16_384), ALONE, ALONE, None),
        ("out-of-order", "are 128, 20,000, 16,384", 32_768),
    ),
}


@pytest.mark.parametrize(("case", "expected"), LOUD.values(), ids=LOUD)
def test_found(
    case: tuple[Thresholds, Nodes | Missing, Pods | Missing, Thresholds | None],
    expected: tuple[str, str, int],
) -> None:
    (finding,) = (x for x in said(*case) if isinstance(x, Finding))
    code, words, gc_thresh3 = expected

    assert finding.code == code
    assert words in finding.message
    assert finding.remedy
    for family in ("ipv4", "ipv6"):
        key = f"net.{family}.neigh.default.gc_thresh3"
        assert f"sysctl -w {key}={gc_thresh3}" in finding.remedy.commands
        assert f"{key} = {gc_thresh3}\n" in finding.remedy.manifest
    assert "gc_thresh1" not in finding.remedy.manifest


def test_the_family_that_has_more_keeps_it_and_stays_in_the_file() -> None:
    raised = (128, 60_000, 65_536)
    spoken = said(raised, cluster(400, "fd00::/64"), pods("cilium", 50), DEFAULT)
    (finding,) = (x for x in spoken if isinstance(x, Finding))

    assert finding.code == "one-family"
    assert finding.remedy
    assert finding.remedy.summary.startswith(
        "raise gc_thresh3 to 16,384 for net.ipv6, and keep the other family's,"
    )
    assert finding.remedy.manifest.splitlines()[1:] == [
        "net.ipv4.neigh.default.gc_thresh3 = 65536",
        "net.ipv4.neigh.default.gc_thresh2 = 60000",
        "net.ipv6.neigh.default.gc_thresh3 = 16384",
        "net.ipv6.neigh.default.gc_thresh2 = 12288",
    ]


def test_thresholds_out_of_order_are_put_in_order_however_large_they_are() -> None:
    (finding,) = (x for x in said((20_000, 512, 1024)) if isinstance(x, Finding))

    assert finding.remedy
    assert "net.ipv4.neigh.default.gc_thresh2 = 24576\n" in finding.remedy.manifest


def test_entries_that_never_age_out_where_addresses_are_reused() -> None:
    spoken = said((8096, 15_360, 16_384), cluster(100), pods("aws-node", 50))
    (finding,) = (x for x in spoken if isinstance(x, Finding))

    assert finding.code == "stale-entries"
    assert finding.remedy
    assert finding.remedy.commands == ("sysctl -w net.ipv4.neigh.default.gc_thresh1=0",)


def test_the_need_is_a_usage_that_tells_where_it_ends() -> None:
    spoken = said(AMAZON, cluster(1000), pods("calico-node", 100), AMAZON)
    (usage,) = (x for x in spoken if isinstance(x, Usage))

    assert (usage.limit_id, usage.used, usage.fixed) == ("neighbor-need-ipv4", 1300, 300)
    assert breaks_at(usage, 1000) == 16_384 - 300


@pytest.mark.parametrize(
    ("thresholds", "nodes", "reason"),
    [
        pytest.param((None, None, None), ALONE, "can't be read", id="no sysctl"),
        pytest.param(DEFAULT, Nodes(nodes=(Node(name="x"),)), "no node of", id="outside"),
        pytest.param(DEFAULT, Missing(reason="403"), "403", id="no cluster"),
    ],
)
def test_what_cannot_be_judged_is_said(
    thresholds: Thresholds, nodes: Nodes | Missing, reason: str
) -> None:
    (unseen,) = said(thresholds, nodes)

    assert isinstance(unseen, Unseen)
    assert reason in unseen.reason


@pytest.mark.parametrize(
    ("daemonsets", "network"),
    [
        (["kube-proxy", "calico-node"], "routed"),
        (["kube-proxy", "cilium"], "VXLAN"),
        (["kube-flannel-ds", "kube-flannel"], "bridge"),
        (["kube-proxy"], ""),
        (["aws-node", "cilium"], ""),  # chained: which one gives the addresses is not known
    ],
)
def test_the_pod_network_by_its_daemonset(daemonsets: list[str], network: str) -> None:
    assert neighbors.network(daemonsets).kind == network


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
    ("entries", "gc_thresh3"), [(1, 16_384), (5330, 16_384), (8192, 16_384), (8193, 32_768)]
)
def test_the_advice_is_twice_the_need_as_a_power_of_two(entries: int, gc_thresh3: int) -> None:
    assert neighbors.advised(entries) == gc_thresh3
