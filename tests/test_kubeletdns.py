"""The kubelet's rules for the resolv.conf of a pod."""

import pytest

from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import DNSConfig, Profile, Workload
from k8sdiag.kubeletdns import EXPANDED, LEGACY, PodResolvConf, effective, parse

WEB = Workload("shop", "Deployment", "web")
CLUSTER = ClusterDNS(domain="cluster.local", servers=("10.96.0.10",))
NODE = NodeResolvConf(
    node="a",
    path="/etc/resolv.conf",
    nameservers=("192.168.0.2",),
    searches=("eu-west-1.compute.internal",),
    options=("ndots:2", "rotate"),
)
OWN = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")


def conf(
    policy: str = "ClusterFirst",
    asked: DNSConfig | None = None,
    *,
    host_network: bool = False,
    cluster: ClusterDNS = CLUSTER,
    node: NodeResolvConf = NODE,
) -> PodResolvConf:
    profile = Profile(workload=WEB, dns_policy=policy, dns_config=asked, host_network=host_network)
    return effective(profile, cluster, node)


def test_cluster_first_has_ndots_5_and_no_option_of_the_node() -> None:
    assert conf().text == (
        "nameserver 10.96.0.10\n"
        "search shop.svc.cluster.local svc.cluster.local cluster.local "
        "eu-west-1.compute.internal\n"
        "options ndots:5\n"
    )


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(conf("Default"), id="Default"),
        pytest.param(conf(host_network=True), id="ClusterFirst on the host's network"),
    ],
)
def test_the_node_s_file_as_it_is(found: PodResolvConf) -> None:
    assert found.nameservers == NODE.nameservers
    assert found.searches == NODE.searches
    assert found.options == NODE.options


def test_cluster_first_with_host_net_asks_the_cluster() -> None:
    assert conf("ClusterFirstWithHostNet", host_network=True) == conf()


def test_none_is_what_the_pod_says() -> None:
    asked = DNSConfig(nameservers=("1.1.1.1",), searches=("x",), options=(("edns0", ""),))

    assert conf("None", asked).text == "nameserver 1.1.1.1\nsearch x\noptions edns0\n"


def test_another_domain_and_none() -> None:
    other = ClusterDNS(domain="k8s.corp", servers=("10.0.0.10", "fd00::10"))
    without = ClusterDNS(domain="", servers=("10.0.0.10",))

    assert conf(cluster=other).searches[:3] == ("shop.svc.k8s.corp", "svc.k8s.corp", "k8s.corp")
    assert conf(cluster=other).nameservers == ("10.0.0.10", "fd00::10")
    assert conf(cluster=without).searches == NODE.searches


def test_unknown_servers_of_the_cluster_stand_as_one() -> None:
    assert len(conf(cluster=ClusterDNS(domain="cluster.local")).nameservers) == 1


def test_what_is_twice_is_there_once_where_it_was_first() -> None:
    asked = DNSConfig(
        nameservers=("8.8.8.8", "10.96.0.10"), searches=("cluster.local", "corp.example")
    )
    found = conf(asked=asked)

    assert found.nameservers == ("10.96.0.10", "8.8.8.8")
    assert found.searches == (*OWN, "eu-west-1.compute.internal", "corp.example")
    assert (found.omitted_nameservers, found.omitted_searches) == (0, 0)


def test_an_option_of_the_pod_wins_and_the_others_stay() -> None:
    asked = DNSConfig(options=(("ndots", "1"), ("use-vc", "")))

    assert conf("Default", asked).options == ("ndots:1", "rotate", "use-vc")
    assert conf("Default", asked).ndots == 1


def test_resolv_conf_switched_off_is_the_loopback() -> None:
    found = conf("Default", node=NodeResolvConf(node="a", path=""))

    assert found.text == "nameserver 127.0.0.1\nsearch .\n"
    assert found.ndots is None


def many(*searches: str) -> Profile:
    return Profile(workload=WEB, dns_policy="None", dns_config=DNSConfig(searches=searches))


@pytest.mark.parametrize(
    ("searches", "kept"),
    [
        pytest.param(["d"] * 1, 1, id="one"),
        pytest.param([f"d{i}" for i in range(33)], 32, id="33 domains"),
        pytest.param(["x" * 253, "x" * 254], 1, id="one of 254 characters"),
        pytest.param([f"{i}".zfill(145) for i in range(14)], 14, id="2043 characters"),
        pytest.param([f"{i}".zfill(146) for i in range(14)], 13, id="2057 characters"),
    ],
)
def test_limits(searches: list[str], kept: int) -> None:
    found = effective(many(*searches), CLUSTER, NODE, EXPANDED)

    assert found.searches == tuple(searches[:kept])
    assert found.omitted_searches == len(searches) - kept


def test_limits_before_1_26() -> None:
    assert len(effective(many(*"abcdefgh"), CLUSTER, NODE, LEGACY).searches) == 6
    assert len(effective(many("x" * 150, "y" * 150), CLUSTER, NODE, LEGACY).searches) == 1


def test_no_more_than_three_nameservers() -> None:
    found = conf(asked=DNSConfig(nameservers=("10.1.1.1", "10.1.1.2", "10.1.1.3")))

    assert found.nameservers == ("10.96.0.10", "10.1.1.1", "10.1.1.2")
    assert found.omitted_nameservers == 1


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("", ((), (), ()), id="empty"),
        pytest.param("search a b\nsearch c\n", ((), ("c",), ()), id="the last search line"),
        pytest.param("search a. . b.\n", ((), ("a", "b"), ()), id="dots at the end"),
        pytest.param("domain a\n", ((), (), ()), id="domain is not read"),
        pytest.param(
            "options ndots:2\n options rotate ndots:2\n",
            ((), (), ("ndots:2", "rotate")),
            id="options add up, with blanks before them",
        ),
        pytest.param(
            "# nameserver 1.1.1.1\nnameserver 2.2.2.2 # x\nnameserver\n\tnameserver ::1\r\n",
            (("2.2.2.2", "::1"), (), ()),
            id="nameservers",
        ),
    ],
)
def test_a_node_s_file(text: str, read: tuple[tuple[str, ...], ...]) -> None:
    assert parse(text) == read
