import pytest
from msgspec.structs import replace

from k8sdiag.checks.cluster_addresses import ClusterAddresses, check
from k8sdiag.facts.cluster import ControlPlane, Services
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Finding, Missing, Said, Severity, Unseen, Usage

AWAY = Missing(reason="the control plane's pods are not in this cluster")


def nodes(count: int, *, cidrs: bool = True) -> Nodes:
    own = [(f"10.{i // 256}.{i % 256}.0/24",) if cidrs else () for i in range(count)]
    return Nodes(nodes=tuple(Node(name=f"n{i}", pod_cidrs=c) for i, c in enumerate(own)))


def services(used: int, cidr: str = "10.96.0.0/24") -> Services:
    ranges = (cidr,) if cidr else ()
    return Services(by_namespace={"a": used}, cluster_ips={"ipv4": used}, ranges=ranges)


def plane(cidr: str = "10.0.0.0/16", *, allocates: bool = True) -> ControlPlane:
    return ControlPlane(
        api_servers=3, cluster_cidrs=(cidr,), node_masks={"ipv4": 24}, allocates=allocates
    )


def judge(
    n: Nodes, s: Services | Missing, p: ControlPlane | Missing
) -> tuple[list[Finding], list[Usage], list[Said]]:
    said = list(check(n, s, p, ClusterAddresses()))
    findings = [x for x in said if isinstance(x, Finding)]
    usages = [x for x in said if isinstance(x, Usage)]
    return findings, usages, [x for x in said if isinstance(x, Unseen)]


@pytest.mark.parametrize(
    ("n", "s", "p"),
    [
        pytest.param(nodes(204), services(203), plane(), id="both below the warning"),
        pytest.param(nodes(250), services(1), plane(allocates=False), id="pod CIDRs not in use"),
        pytest.param(nodes(9, cidrs=False), services(1), AWAY, id="a plugin with its own IPAM"),
        pytest.param(nodes(250), services(1), plane("10.0.0.0/8"), id="a large range"),
    ],
)
def test_quiet(n: Nodes, s: Services, p: ControlPlane | Missing) -> None:
    findings, _, unseen = judge(n, s, p)

    assert findings == []
    assert unseen == []


@pytest.mark.parametrize(
    ("n", "s", "code", "severity"),
    [
        pytest.param(nodes(205), services(1), "pod-cidrs-run-out", Severity.WARNING, id="80 %"),
        pytest.param(nodes(244), services(1), "pod-cidrs-run-out", Severity.CRITICAL, id="95 %"),
        pytest.param(
            nodes(1), services(254), "service-addresses-run-out", Severity.CRITICAL, id="Services"
        ),
    ],
)
def test_found(n: Nodes, s: Services, code: str, severity: Severity) -> None:
    ((finding,), _, _) = judge(n, s, plane())

    assert (finding.code, finding.severity) == (code, severity)


def test_the_last_node_is_the_256th_of_a_16_in_24s() -> None:
    _, usages, _ = judge(nodes(10), services(10), plane())

    assert [(u.limit_id, u.used, u.limit, u.driver) for u in usages] == [
        ("pod-cidrs-ipv4", 10, 256, "nodes"),
        ("service-addresses-ipv4", 10, 254, "services"),
    ]


@pytest.mark.parametrize(
    ("s", "p", "subject"),
    [
        pytest.param(services(1), AWAY, "pod CIDRs", id="a control plane elsewhere"),
        pytest.param(services(1, ""), plane(), "Service addresses", id="an older server"),
        pytest.param(Missing(reason="no"), plane(), "Service addresses", id="no right to list"),
    ],
)
def test_what_is_unknown_is_said(
    s: Services | Missing, p: ControlPlane | Missing, subject: str
) -> None:
    _, _, unseen = judge(nodes(1), s, p)

    assert [u.subject for u in unseen if isinstance(u, Unseen)] == [subject]


def test_ranges_that_lie_in_each_other_are_counted_once() -> None:
    nested = replace(services(10), ranges=("10.96.0.0/24", "10.96.0.0/16", "10.96.0.0/16"))
    usages = judge(nodes(1), nested, plane())[1]

    assert [u.limit for u in usages if u.limit_id == "service-addresses-ipv4"] == [65534]


def test_a_range_without_an_address_is_no_limit() -> None:
    _, usages, _ = judge(nodes(1), services(0, "10.96.0.0/32"), plane())

    assert [u.limit_id for u in usages] == ["pod-cidrs-ipv4"]


def test_a_range_may_be_written_with_the_bits_of_a_host() -> None:
    loose = Nodes(nodes=(Node(name="n", pod_cidrs=("10.0.0.1/24",)),))

    assert judge(loose, services(1, "10.96.0.1/24"), plane())[1][0].used == 1
