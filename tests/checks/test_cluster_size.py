from array import array

import pytest

from k8sdiag.checks._cluster_limits import ClusterSize
from k8sdiag.checks.cluster_size import check
from k8sdiag.facts.cluster import Backends, ControlPlane, ServiceEndpoints, Services
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload, pack
from k8sdiag.model import Finding, Missing, Said, Unseen, Usage

NOT_READ = Missing(reason="not read")
SMALL = ClusterSize(nodes=100, pods=1000, containers=1500, pods_per_namespace=500, services=50)


def nodes(count: int = 10, server: str = "v1.36.3", cpus: float = 16) -> Nodes:
    found = (Node(name=f"n{i}", cpus=cpus, max_pods=110) for i in range(count))
    return Nodes(nodes=tuple(found), server=server)


def controlled(count: int, *machines: tuple[float, float]) -> Nodes:
    """So many nodes, of which these (CPUs, GB) are the control plane."""
    own = (
        Node(name=f"cp{i}", cpus=cpus, memory_bytes=int(gb * 1e9), control_plane=True)
        for i, (cpus, gb) in enumerate(machines)
    )
    return Nodes(nodes=(*own, *nodes(count - len(machines)).nodes))


def backed(*counts: int, headless: bool = False) -> ServiceEndpoints:
    found = (
        Backends(subject=f"service/a/s{i}", endpoints=n, headless=headless)
        for i, n in enumerate(counts)
    )
    return ServiceEndpoints(largest=tuple(found), slices=1)


def pods(*counts: tuple[str, int], phase: str = "Running") -> Pods:
    """(namespace, how many) of pods with two containers and an init container each."""
    containers = (Container(image="a"), Container(image="b"), Container(image="c", init=True))
    profiles = tuple(
        Profile(workload=Workload(name, "Deployment", "w"), containers=containers, phase=phase)
        for name, _ in counts
    )
    column = array("I", [i for i, (_, n) in enumerate(counts) for _ in range(n)])
    where = array("I", [0] * len(column))
    return Pods(
        profiles=profiles, nodes=("n0",), profile_column=pack(column), node_column=pack(where)
    )


def objects(**counts: int) -> EtcdObjects:
    stored = (
        StoredResource(name=n.replace("_", "."), objects=c, size_bytes=c * 1000)
        for n, c in counts.items()
    )
    return EtcdObjects(resources=tuple(stored), provenance="/metrics")


def judge(
    n: Nodes,
    p: Pods | Missing = NOT_READ,
    s: Services | Missing = NOT_READ,
    o: EtcdObjects | Missing = NOT_READ,
    c: ControlPlane | Missing = NOT_READ,
    limits: ClusterSize = SMALL,
    e: ServiceEndpoints | Missing = NOT_READ,
) -> list[Said]:
    return list(check(n, p, s, e, o, c, limits))


def codes(said: list[Said]) -> list[tuple[str, str]]:
    return [(f.code, f.subject) for f in said if isinstance(f, Finding)]


def used(said: list[Said]) -> dict[str, tuple[float, float, str]]:
    return {u.limit_id: (u.used, u.limit, u.driver) for u in said if isinstance(u, Usage)}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(judge(nodes(79), pods(("a", 399), ("b", 100))), id="below four fifths"),
        pytest.param(judge(nodes(), pods(("a", 5000), phase="Succeeded")), id="pods that ended"),
        pytest.param(judge(nodes(), s=Services(by_namespace={"a": 39})), id="few Services"),
        pytest.param(
            judge(nodes(1, cpus=2), pods(("a", 20)), limits=ClusterSize()), id="a small node"
        ),
        pytest.param(
            judge(
                Nodes(nodes=(Node(name="n0", cpus=16, max_pods=29),)),
                pods(("a", 29)),
                limits=ClusterSize(),
            ),
            id="a node that is full by its own maxPods",
        ),
        pytest.param(judge(nodes(), o=objects(foos_example=10**7)), id="custom objects"),
        pytest.param(judge(nodes(90 - 11), c=ControlPlane(api_servers=1)), id="one for few nodes"),
        pytest.param(
            judge(
                nodes(),
                s=Services(by_namespace={"a": 10}),
                c=ControlPlane(api_servers=3, proxy_mode="iptables"),
            ),
            id="few Services in iptables",
        ),
        pytest.param(judge(nodes(), e=backed(199, 3)), id="endpoints below four fifths"),
        pytest.param(judge(nodes(), e=backed(1000, headless=True)), id="a headless Service"),
        pytest.param(
            judge(controlled(100, (2, 4)), limits=ClusterSize()), id="small, and so is the cluster"
        ),
        pytest.param(
            judge(controlled(250, (8, 32), (8, 30)), limits=ClusterSize()), id="large enough"
        ),
        pytest.param(
            judge(controlled(900, (32, 61)), limits=ClusterSize()), id="as large as it ever was"
        ),
        pytest.param(
            judge(nodes(4000), limits=ClusterSize(nodes=10**6)), id="a managed control plane"
        ),
        pytest.param(
            judge(
                nodes(101, "v1.33.5-gke.1080000"),
                pods(("a", 1500), ("b", 1500)),
                limits=ClusterSize(pods=3000),
            ),
            id="GKE is tested further",
        ),
    ],
)
def test_quiet(said: list[Said]) -> None:
    assert codes(said) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        pytest.param(judge(nodes(80)), ("near-threshold", "cluster"), id="nodes"),
        pytest.param(
            judge(nodes(), pods(("a", 400))), ("near-threshold", "namespace/a"), id="a namespace"
        ),
        pytest.param(
            judge(nodes(1), pods(("a", 88)), limits=ClusterSize()),
            ("near-threshold", "cluster"),
            id="pods on a node",
        ),
        pytest.param(
            judge(nodes(), s=Services(by_namespace={"a": 40})),
            ("near-threshold", "cluster"),
            id="Services",
        ),
        pytest.param(
            judge(nodes(), o=objects(configmaps=130000)),
            ("near-threshold", "configmaps"),
            id="a type",
        ),
        pytest.param(
            judge(nodes(), e=backed(3, 200)), ("near-threshold", "service/a/s1"), id="endpoints"
        ),
        pytest.param(
            judge(nodes(), e=backed(1001, headless=True)),
            ("endpoints-truncated", "cluster"),
            id="more endpoints than an object holds",
        ),
        pytest.param(
            judge(controlled(300, (16, 64), (8, 64)), limits=ClusterSize()),
            ("small-control-plane", "control-plane"),
            id="few CPUs",
        ),
        pytest.param(
            judge(controlled(501, (32, 32)), limits=ClusterSize()),
            ("small-control-plane", "control-plane"),
            id="little memory",
        ),
        pytest.param(
            judge(nodes(3000), c=ControlPlane(api_servers=1), limits=ClusterSize()),
            ("one-api-server", "cluster"),
            id="one API server",
        ),
        pytest.param(
            judge(
                nodes(),
                s=Services(by_namespace={"a": 3000, "b": 3000}),
                c=ControlPlane(api_servers=3, proxy_mode="iptables"),
                limits=ClusterSize(),
            ),
            ("iptables-mode", "cluster"),
            id="iptables",
        ),
    ],
)
def test_found(said: list[Said], found: tuple[str, str]) -> None:
    assert codes(said) == [found]


def test_each_usage_names_what_makes_it_grow() -> None:
    said = judge(
        nodes(10, cpus=4),
        pods(("a", 100), ("b", 60)),
        Services(by_namespace={"a": 3, "b": 5}),
        objects(pods=160, events=900, namespaces=4, foos_example=10**6),
        e=backed(50, 2),
    )

    assert used(said) == {
        "nodes": (10, 100, "nodes"),
        "pods": (160, 1000, "pods"),
        "containers": (320, 1500, "pods"),
        "pods-per-namespace": (100, 500, "pods"),
        "pods-per-node": (16, 40, "pods_per_node"),
        "services": (8, 50, "services"),
        "services-per-namespace": (5, 5000, "services"),
        "endpoints-per-service": (50, 250, "pods"),
        "namespaces": (4, 10000, "namespaces"),
        "events": (900, 1000000, "events"),
        "objects-of-a-type": (160, 150000, "pods"),
        "bytes-of-a-type": (160000, 1500000000, "pods"),
    }


def test_what_could_not_be_read_is_said() -> None:
    assert [u.subject for u in judge(nodes()) if isinstance(u, Unseen)] == [
        "pods",
        "Services",
        "endpoints",
        "objects by type",
    ]


SPREAD = Services(by_namespace={"a": 4999})


@pytest.mark.parametrize(
    ("n", "s", "told"),
    [
        pytest.param(controlled(100, (64, 256)), SPREAD, [], id="too small to matter"),
        pytest.param(nodes(500), SPREAD, [], id="a managed control plane"),
        pytest.param(
            controlled(101, (64, 256)), SPREAD, ["the number of API servers"], id="API servers"
        ),
        pytest.param(
            nodes(9), Services(by_namespace={"a": 5000}), ["kube-proxy's mode"], id="many Services"
        ),
    ],
)
def test_a_control_plane_that_was_not_seen_is_said_where_it_matters(
    n: Nodes, s: Services, told: list[str]
) -> None:
    said = judge(n, pods(("a", 1)), s, objects(pods=1), e=backed(1), limits=ClusterSize())

    assert [u.subject for u in said if isinstance(u, Unseen)] == told


def test_a_machine_with_less_than_a_core_still_holds_a_pod() -> None:
    assert used(judge(nodes(1, cpus=0.05), pods(("a", 1))))["pods-per-node"][1] == 1


def test_of_namespaces_with_as_many_pods_the_same_is_told_whatever_comes_first() -> None:
    told = [
        [u.subject for u in judge(nodes(), p) if isinstance(u, Usage) and "namespace" in u.limit_id]
        for p in (pods(("a", 3), ("b", 3)), pods(("b", 3), ("a", 3)))
    ]

    assert told == [["namespace/b"], ["namespace/b"]]


def test_the_smallest_machine_of_a_control_plane_is_named() -> None:
    said = judge(controlled(300, (16, 64), (8, 64), (4, 16)), limits=ClusterSize())
    (finding,) = (f for f in said if isinstance(f, Finding))

    assert finding.message.startswith(
        "2 of 3 control plane nodes are small for 300 nodes: cp2 has 4 CPUs and 16 GB, and 16 CPUs "
        "and 30 GB"
    )


def test_services_whose_endpoints_are_cut_off_are_named() -> None:
    said = judge(nodes(), e=backed(5000, 1200, 1100, 1001, headless=True))
    (finding,) = (f for f in said if isinstance(f, Finding))

    assert (
        "service/a/s0 has 5,000, service/a/s1 has 1,200, service/a/s2 has 1,100 and 1 more have"
        in finding.message
    )
