import json
import re
import shlex
from array import array
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from k8sdiag import Finding, Metric, Severity, Usage
from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks.dns_capacity import check
from k8sdiag.corefile import parse
from k8sdiag.facts.coredns import (
    Autoscaler,
    CoreDNS,
    CoreDNSTraffic,
    Corefile,
    NodeLocal,
    Replica,
    ReplicaTraffic,
)
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods, Profile, Workload, pack
from k8sdiag.model import Missing, Said, Unseen

# As kubeadm writes it from Kubernetes 1.32 on.
KUBEADM = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
NO_METRICS = Missing(
    reason="CoreDNS' metrics were not read: add --coredns-metrics=proxy", asked=False
)
CLUSTER = ClusterDNS(domain="cluster.local", servers=("10.96.0.10",), configured=True)
NODE = NodeResolvConf(node="a", path="/etc/resolv.conf", nameservers=("192.168.0.2",))
DENIED = 'template ANY ANY internal.cloudapp.net {\n match "^(.*)"\n rcode NXDOMAIN\n }\n'
DENIED_AAAA = DENIED.replace("ANY ANY", "IN AAAA")


def corefile(text: str = KUBEADM) -> Corefile:
    return Corefile("kube-system/coredns", parse(text).servers)


def changed(*replaced: tuple[str, str]) -> CoreDNS:
    """A cluster whose Corefile is kubeadm's with some text replaced."""
    text = KUBEADM
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return replace(KUBE_DNS, corefile=corefile(text))


def replicas(*on: str, ready: bool = True) -> tuple[Replica, ...]:
    return tuple(
        Replica(f"coredns-{i}", node, (f"10.244.{i}.2",), ready) for i, node in enumerate(on)
    )


KUBE_DNS = CoreDNS(
    service="kube-system/kube-dns",
    addresses=("10.96.0.10",),
    selector={"k8s-app": "kube-dns"},
    workload=Workload("kube-system", "Deployment", "coredns"),
    container="coredns",
    image="registry.k8s.io/coredns/coredns:v1.12.1",
    memory_limit_bytes=170 << 20,
    replicas=replicas("n0", "n1"),
    budgets=("coredns",),
    corefile=corefile(),
    services=100,
)


def dns(**fields: Any) -> CoreDNS:
    return replace(KUBE_DNS, **fields)


def nodes(count: int, **fields: Any) -> Nodes:
    made = {"cpus": 4.0, **fields}
    return Nodes(nodes=tuple(Node(name=f"n{i}", **made) for i in range(count)), server="v1.36.3")


def pods(count: int) -> Pods:
    return Pods(
        profiles=(Profile(workload=Workload("shop", "Deployment", "web")),),
        nodes=("n0",),
        profile_column=pack(array("I", [0] * count)),
        node_column=pack(array("I", [0] * count)),
    )


def traffic(*, window: float = 300.0, on: int = 2, **fields: Any) -> CoreDNSTraffic:
    """As much for each replica."""
    made: dict[str, Any] = {
        "requests": 100.0,
        "responses": {"NOERROR": 60.0, "NXDOMAIN": 40.0},
    } | fields
    return CoreDNSTraffic(
        replicas=tuple(ReplicaTraffic(pod=f"coredns-{i}", **made) for i in range(on)),
        window_seconds=window,
        provenance="measured",
    )


def judge(
    servers: CoreDNS = KUBE_DNS,
    did: CoreDNSTraffic | Missing = NO_METRICS,
    on: Nodes | Missing | None = None,
    running: Pods | Missing | None = None,
    cluster: ClusterDNS | Missing = CLUSTER,
    node: NodeResolvConf | Missing = NODE,
) -> list[Said]:
    on, running = on or nodes(10), running or pods(300)
    return list(check(servers, did, on, running, cluster, node, DnsCapacity()))


def findings(said: list[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def unseen(said: list[Said]) -> list[Unseen]:
    return [x for x in said if isinstance(x, Unseen)]


def usages(said: list[Said]) -> dict[str, Usage]:
    return {x.limit_id: x for x in said if isinstance(x, Usage)}


TWO_ZONES = Nodes(nodes=(*nodes(9, zone="a").nodes, Node(name="b", zone="b", cpus=4)))
ON_AWS = nodes(10, provider="aws")
AUTOPATH = (("insecure", "verified"), ("loadbalance", "autopath @kubernetes"))
BY_16 = Autoscaler(config_map="a/b", nodes_per_replica=16)
NO_CACHE = re.sub(r"cache 30 \{.*?\}", "", KUBEADM, flags=re.DOTALL)
IN_PATH = NodeLocal(10, 10, ("169.254.20.10", "10.96.0.10"))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(judge(), id="kubeadm's two replicas on ten nodes"),
        pytest.param(
            judge(dns(replicas=replicas("n0"), budgets=()), on=nodes(3)), id="k3s with one replica"
        ),
        pytest.param(judge(dns(budgets=()), on=nodes(30)), id="30 nodes without a budget"),
        pytest.param(judge(dns(replicas=replicas("n0", "n0")), on=nodes(5)), id="both on one of 5"),
        pytest.param(judge(on=nodes(9, zone="a")), id="a cluster of one zone"),
        pytest.param(
            judge(dns(replicas=replicas("n0", "b")), on=TWO_ZONES), id="one in each of two zones"
        ),
        pytest.param(
            judge(dns(replicas=replicas("n0", "?")), on=TWO_ZONES), id="one on a node not known"
        ),
        pytest.param(
            judge(dns(replicas=replicas(*(f"n{i}" for i in range(25)))), on=nodes(400)),
            id="as many as the autoscaler makes",
        ),
        pytest.param(
            judge(
                replace(
                    changed(("    loop\n", "")),
                    workload=Workload("openshift-dns", "DaemonSet", "dns-default"),
                    service="openshift-dns/dns-default",
                    budgets=(),
                ),
                on=nodes(400),
            ),
            id="OpenShift, whose operator writes no loop",
        ),
        pytest.param(
            judge(dns(workload=None, gaps={"workload": "forbidden"}), on=nodes(400)),
            id="what may be a DaemonSet that was not seen",
        ),
        pytest.param(
            judge(dns(corefile=None, image="k8s-dns-kube-dns:1.23", memory_limit_bytes=1 << 20)),
            id="the memory of a DNS server that is no CoreDNS",
        ),
        pytest.param(
            judge(dns(memory_limit_bytes=0), did=traffic(resident_bytes=1 << 40)),
            id="no memory limit",
        ),
        pytest.param(judge(changed(("insecure", "verified"))), id="pods verified, no autopath"),
        pytest.param(judge(changed(*AUTOPATH)), id="autopath that works"),
        pytest.param(
            judge(changed(("errors", "template IN AAAA {\n rcode NOERROR\n }"))),
            id="AAAA answered with nothing",
        ),
        pytest.param(
            judge(changed(("errors", DENIED))), id="a domain denied for all types, as AKS does"
        ),
        pytest.param(
            judge(
                changed(
                    (
                        "errors",
                        DENIED.replace("ANY ANY", "IN A") + DENIED.replace("ANY ANY", "IN AAAA"),
                    )
                )
            ),
            id="a domain denied for A and for AAAA",
        ),
        pytest.param(
            judge(changed(("/etc/resolv.conf", "127.0.0.1:5353"))), id="a second server in the pod"
        ),
        pytest.param(
            judge(changed(("       max_concurrent 1000\n", ""))), id="no max_concurrent, as on EKS"
        ),
        pytest.param(
            judge(dns(corefile=corefile(KUBEADM + "corp:53 {\n forward . 10.9.9.9\n}\n"))),
            id="a stub zone without cache and loop",
        ),
        pytest.param(judge(did=traffic()), id="an idle CoreDNS"),
        pytest.param(
            judge(did=traffic(responses={"NOERROR": 20.0, "NXDOMAIN": 80.0})),
            id="much NXDOMAIN of little",
        ),
        pytest.param(
            judge(did=traffic(requests=3900.0, responses={"NOERROR": 1.0, "NXDOMAIN": 1.0})),
            id="half of much is NXDOMAIN, at nearly all it can",
        ),
        pytest.param(
            judge(did=traffic(responses={"SERVFAIL": 1.0, "REFUSED": 1.0}, window=10.0)),
            id="nothing but failures of few",
        ),
        pytest.param(
            judge(did=traffic(buckets=((0.064, 0.1), (8.0, 0.2)), responses={"NOERROR": 0.1})),
            id="a slow response among few",
        ),
        pytest.param(
            judge(did=traffic(buckets=((0.128, 90.0), (0.256, 100.0)), forwarded=20.0)),
            id="a quarter of a second for names of others",
        ),
        pytest.param(judge(did=traffic(forwarded=2000.0)), id="2,000 packets a second on no cloud"),
        pytest.param(judge(did=traffic(forwarded=500.0), on=ON_AWS), id="half of AWS' limit"),
        pytest.param(
            judge(changed(("/etc/resolv.conf", "10.1.1.1")), traffic(forwarded=2000.0), ON_AWS),
            id="AWS, but a resolver of their own",
        ),
        pytest.param(judge(dns(node_local=IN_PATH)), id="NodeLocal DNSCache on every node"),
        pytest.param(
            judge(
                dns(node_local=NodeLocal(10, 10, ("169.254.20.10",))),
                cluster=replace(CLUSTER, servers=("169.254.20.10",)),
            ),
            id="NodeLocal DNSCache that kubelets name",
        ),
    ],
)
def test_quiet(said: list[Said]) -> None:
    assert findings(said) == []
    assert unseen(said) == []


@pytest.mark.parametrize(
    ("said", "code", "severity", "says"),
    [
        pytest.param(
            judge(dns(replicas=replicas("n0", "n1", ready=False))),
            "none-ready",
            Severity.CRITICAL,
            "none of its 2 pods is ready",
            id="no replica is ready",
        ),
        pytest.param(
            judge(dns(replicas=replicas("n0"))),
            "one-replica",
            Severity.CRITICAL,
            "one DNS server answers for 10 nodes",
            id="one replica",
        ),
        pytest.param(
            judge(dns(replicas=(*replicas("n0"), *replicas("n1", ready=False)))),
            "one-replica",
            Severity.CRITICAL,
            "one of 2 DNS servers is ready and answers for 10 nodes",
            id="one of two is ready",
        ),
        pytest.param(
            judge(dns(replicas=replicas("n0", "n0"))),
            "one-node",
            Severity.CRITICAL,
            "all 2 DNS servers of 10 nodes run on node n0",
            id="both on one node",
        ),
        pytest.param(
            judge(dns(replicas=replicas("n0", "n1")), on=TWO_ZONES),
            "one-zone",
            Severity.CRITICAL,
            "in zone a of 2",
            id="both in one zone",
        ),
        pytest.param(
            judge(on=nodes(100)),
            "few-replicas",
            Severity.WARNING,
            "2 DNS servers answer for 100 nodes with 400 cores, and the autoscaler's formula makes "
            "it 7; no ConfigMap of an autoscaler was found",
            id="two replicas for 100 nodes",
        ),
        pytest.param(
            judge(on=nodes(100, cpus=64)),
            "few-replicas",
            Severity.WARNING,
            "6,400 cores, and the autoscaler's formula makes it 25",
            id="two replicas for many cores",
        ),
        pytest.param(
            judge(
                dns(autoscaler=Autoscaler(config_map="a/b", nodes_per_replica=16, most=3)),
                on=nodes(100),
            ),
            "few-replicas",
            Severity.WARNING,
            "; ConfigMap a/b tells its autoscaler to make 3",
            id="an autoscaler with a maximum",
        ),
        pytest.param(
            judge(
                dns(autoscaler=Autoscaler(config_map="a/b", nodes_per_replica=16)), on=nodes(100)
            ),
            "few-replicas",
            Severity.WARNING,
            "its autoscaler should make 7: does it run",
            id="an autoscaler that does not run",
        ),
        pytest.param(
            judge(dns(budgets=(), replicas=replicas(*(f"n{i}" for i in range(7)))), on=nodes(100)),
            "no-budget",
            Severity.WARNING,
            "no PodDisruptionBudget is for its 7 pods",
            id="no budget on 100 nodes",
        ),
        pytest.param(
            judge(did=traffic(resident_bytes=160 << 20)),
            "memory",
            Severity.WARNING,
            "takes 160 MiB of the 170 MiB that it may (the largest replica, measured)",
            id="measured memory close to the limit",
        ),
        pytest.param(
            judge(did=traffic(resident_bytes=169 << 20)),
            "memory",
            Severity.CRITICAL,
            "takes 169 MiB",
            id="measured memory at the limit",
        ),
        pytest.param(
            judge(dns(corefile=Corefile("kube-system/coredns", broken="Corefile:7: a { ..."))),
            "corefile-broken",
            Severity.CRITICAL,
            "does not start with it: Corefile:7",
            id="a broken Corefile",
        ),
        pytest.param(
            judge(changed(("loadbalance", "autopath @kubernetes"))),
            "autopath-pods",
            Severity.WARNING,
            "autopath @kubernetes does nothing",
            id="autopath without pods verified",
        ),
        pytest.param(
            judge(replace(changed(*AUTOPATH), node_local=IN_PATH)),
            "autopath-node-local",
            Severity.WARNING,
            "behind NodeLocal DNSCache",
            id="autopath with NodeLocal DNSCache",
        ),
        pytest.param(
            judge(changed(("errors", "template IN AAAA {\n rcode NXDOMAIN\n }"))),
            "template-nxdomain",
            Severity.CRITICAL,
            "AAAA of all names with NXDOMAIN",
            id="AAAA denied",
        ),
        pytest.param(
            judge(changed(("errors", "template IN AAAA corp {\n rcode nxdomain\n }"))),
            "template-nxdomain",
            Severity.WARNING,
            "AAAA of names in corp with NXDOMAIN",
            id="AAAA denied in one domain",
        ),
        pytest.param(
            judge(changed(("/etc/resolv.conf", "10.96.0.10"))),
            "forward-loop",
            Severity.CRITICAL,
            "it forwards . to 10.96.0.10, which is CoreDNS itself: the loop plugin ends",
            id="forward to the Service",
        ),
        pytest.param(
            judge(changed(("/etc/resolv.conf", "dns://127.0.0.1:53"), ("    loop\n", ""))),
            "forward-loop",
            Severity.CRITICAL,
            "queries run in a circle",
            id="forward to the loopback without the loop plugin",
        ),
        pytest.param(
            judge(node=replace(NODE, nameservers=("127.0.0.53",))),
            "forward-loop",
            Severity.CRITICAL,
            "127.0.0.53 (of the nodes' /etc/resolv.conf)",
            id="forward to systemd-resolved's stub of the nodes",
        ),
        pytest.param(
            judge(changed(("    loop\n", ""))),
            "no-loop",
            Severity.WARNING,
            "no `loop`",
            id="no loop",
        ),
        pytest.param(
            judge(
                dns(corefile=corefile(re.sub(r"cache 30 \{.*?\}", "", KUBEADM, flags=re.DOTALL)))
            ),
            "no-cache",
            Severity.WARNING,
            "no `cache`",
            id="no cache",
        ),
        pytest.param(
            judge(changed(("max_concurrent 1000", "max_concurrent 10"))),
            "max-concurrent",
            Severity.WARNING,
            "while 10 others wait",
            id="a low max_concurrent",
        ),
        pytest.param(
            judge(dns(node_local=NodeLocal(8, 8, ("169.254.20.10", "10.96.0.10")))),
            "node-local-missing",
            Severity.WARNING,
            "ready on 8 of 10 ready Linux nodes and wants to be on 8",
            id="NodeLocal DNSCache on some nodes",
        ),
        pytest.param(
            judge(dns(node_local=NodeLocal(10, 10, ("169.254.20.10",)))),
            "node-local-bypassed",
            Severity.WARNING,
            "it listens on 169.254.20.10, and kubelets tell pods to ask 10.96.0.10",
            id="NodeLocal DNSCache that nobody asks",
        ),
        pytest.param(
            judge(did=traffic(requests=4100.0, responses={"NOERROR": 1.0})),
            "saturated",
            Severity.WARNING,
            "2 DNS servers answer 8,200 queries a second, and 10,000 are assumed",
            id="nearly all they can answer",
        ),
        pytest.param(
            judge(did=traffic(requests=600.0, responses={"NOERROR": 150.0, "NXDOMAIN": 450.0})),
            "waste",
            Severity.WARNING,
            "75% of 1,200 queries a second end with NXDOMAIN: search lists make 4.0 tries",
            id="most of much is NXDOMAIN",
        ),
        pytest.param(
            judge(did=traffic(responses={"NOERROR": 98.0, "SERVFAIL": 2.0})),
            "servfail",
            Severity.WARNING,
            "2.0% of its responses are SERVFAIL",
            id="some SERVFAIL",
        ),
        pytest.param(
            judge(did=traffic(responses={"NOERROR": 96.0, "SERVFAIL": 4.0})),
            "servfail",
            Severity.CRITICAL,
            "4.0%",
            id="much SERVFAIL",
        ),
        pytest.param(
            judge(did=traffic(responses={"NOERROR": 98.0, "REFUSED": 2.0})),
            "refused",
            Severity.WARNING,
            "2.0% of its responses are REFUSED",
            id="REFUSED for want of a server block",
        ),
        pytest.param(
            judge(did=traffic(responses={"NOERROR": 98.0, "REFUSED": 2.0}, rejected=2.0)),
            "forward-saturated",
            Severity.WARNING,
            "it refuses 4 queries a second",
            id="REFUSED by max_concurrent, said once",
        ),
        pytest.param(
            judge(did=traffic(buckets=((0.128, 90.0), (0.256, 100.0)))),
            "slow",
            Severity.WARNING,
            "longer than 243 ms, and 0% of the queries are forwarded upstream",
            id="slow",
        ),
        pytest.param(
            judge(did=traffic(buckets=((1.024, 90.0), (2.048, 100.0)), forwarded=20.0)),
            "slow",
            Severity.WARNING,
            "longer than 1,946 ms, and 20% of the queries are forwarded upstream",
            id="slow servers outside",
        ),
        pytest.param(
            judge(did=traffic(buckets=((4.096, 90.0), (8.192, 100.0)))),
            "slow",
            Severity.CRITICAL,
            "longer than 7,782 ms",
            id="very slow",
        ),
        pytest.param(
            judge(did=traffic(forwarded=900.0), on=ON_AWS),
            "upstream-packets",
            Severity.WARNING,
            "its DNS servers send 900 queries a second to the VPC's resolver",
            id="close to AWS' packets of a network interface",
        ),
    ],
)
def test_loud(said: list[Said], code: str, severity: Severity, says: str) -> None:
    (finding,) = findings(said)

    assert (finding.code, finding.severity) == (code, severity)
    assert says in finding.message
    assert finding.remedy
    assert finding.remedy.summary


def test_memory_is_predicted_where_nobody_measured_it() -> None:
    said = judge(dns(services=10_000), running=pods(140_000))

    usage = usages(said)["coredns-memory"]
    (finding,) = findings(said)
    assert usage.used == pytest.approx(54e6 + 150e6)
    assert (usage.limit, usage.driver, usage.fixed) == (float(170 << 20), "pods", 54e6)
    assert "formula of coredns/deployment for 140,000 pods and 10,000 Services" in usage.source
    assert (finding.code, finding.severity) == ("memory", Severity.WARNING)
    assert finding.remedy
    assert finding.remedy.commands == (
        "kubectl -n kube-system set resources deployment/coredns -c coredns --limits=memory=300Mi",
    )


def test_watching_pods_takes_four_times_the_memory() -> None:
    usage = usages(judge(changed(("insecure", "verified")), running=pods(9900)))

    assert usage["coredns-memory"].used == pytest.approx(56e6 + 40e6)


def predicted(said: list[Said]) -> list[float]:
    name = "dns_predicted_queries_per_second"
    return [m.value for m in said if isinstance(m, Metric) and m.name == name]


def test_the_load_is_measured() -> None:
    usage = usages(judge(did=traffic(requests=700.0)))["coredns-qps"]

    assert (usage.used, usage.limit, usage.driver) == (1400.0, 10_000.0, "pods")
    assert usage.source == "measured; 5,000 queries/s assumed of each of 2 replicas"


def test_replicas_that_were_not_asked_have_as_many_queries() -> None:
    ten = dns(replicas=replicas(*(f"n{i}" for i in range(10))))

    assert usages(judge(ten, traffic(requests=700.0)))["coredns-qps"].used == 7000.0


def test_the_load_is_predicted_and_says_so() -> None:
    said = judge(running=pods(500))

    # Three search domains, A and AAAA: eight queries a lookup. No usage: it is an assumption.
    assert predicted(said) == [4000.0]
    assert "coredns-qps" not in usages(said)
    assert unseen(said) == []


def test_a_prediction_near_the_limit_is_no_finding_but_unseen() -> None:
    said = judge(running=pods(1000))

    assert findings(said) == []
    (reason,) = (u.reason for u in unseen(said))
    assert "would be 8,000 queries a second" in reason
    assert reason.endswith(NO_METRICS.reason)


@pytest.mark.parametrize("running", [pods(5), Missing(reason="forbidden")])
def test_a_measure_that_was_wanted_and_failed_is_never_fine(running: Pods | Missing) -> None:
    refused = Missing(reason='grant "get" on "pods/proxy"')
    (said,) = unseen(judge(did=refused, running=running))

    assert (said.subject, said.reason) == ("the load of the DNS servers", refused.reason)


def test_autopath_changes_the_verdict() -> None:
    said = judge(changed(*AUTOPATH), running=pods(1000))

    assert predicted(said) == [2000.0]
    assert unseen(said) == []


def test_behind_node_local_dnscache_nothing_is_predicted() -> None:
    few = judge(dns(node_local=IN_PATH))
    many = judge(dns(node_local=IN_PATH), running=pods(1000))

    assert predicted(few) == predicted(many) == []
    assert unseen(few) == []
    assert "NodeLocal DNSCache answers a part of it" in unseen(many)[0].reason


def test_node_local_dnscache_that_nobody_asks_hides_nothing() -> None:
    said = judge(dns(node_local=NodeLocal(10, 10, ("169.254.20.10",))))

    assert predicted(said)


def test_whether_node_local_dnscache_is_asked_may_be_unknown() -> None:
    said = judge(
        dns(node_local=NodeLocal(10, 10, ("169.254.20.10",))),
        cluster=replace(CLUSTER, configured=False),
    )

    assert findings(said) == []
    assert [u.subject for u in unseen(said)] == ["whether pods ask NodeLocal DNSCache"]


def test_the_dns_servers_of_another_cluster_are_not_taken_for_ours() -> None:
    others = CoreDNSTraffic(
        replicas=(ReplicaTraffic(pod="coredns-x", requests=9999.0, address="10.244.0.2"),),
        window_seconds=300.0,
        provenance="Prometheus",
    )

    said = judge(did=others)

    assert findings(said) == []
    assert "none of the 1 CoreDNS that Prometheus tells of is a pod of Service" in (
        unseen(said)[0].reason
    )


def test_a_replica_that_prometheus_knows_by_address_alone_is_ours() -> None:
    by_address = CoreDNSTraffic(
        replicas=(ReplicaTraffic(address="10.244.1.2", requests=10.0),), window_seconds=300.0
    )

    assert usages(judge(did=by_address))["coredns-qps"].used == 20.0


def test_nodes_that_were_not_listed_are_said() -> None:
    said = judge(on=Missing(reason="forbidden"), running=pods(5))

    assert [u.reason for u in unseen(said)] == ["forbidden"]


def test_what_pods_would_tell_is_said_where_nothing_else_tells_it() -> None:
    (said,) = unseen(judge(running=Missing(reason="forbidden")))

    assert said.subject == "the load and the memory of the DNS servers"
    assert unseen(judge(running=Missing(reason="of this host alone", asked=False))) == []
    assert unseen(judge(did=traffic(), running=Missing(reason="forbidden"))) == []


def test_the_packets_of_the_busiest_node_are_a_usage() -> None:
    usage = usages(judge(dns(replicas=replicas("n0", "n0")), traffic(forwarded=100.0), ON_AWS))

    packets = usage["dns-upstream-packets"]
    assert (packets.subject, packets.used, packets.limit) == ("node/n0", 200.0, 1024.0)


def test_metrics_are_of_all_replicas_together() -> None:
    said = judge(did=traffic(cache_requests=10.0, cache_hits=4.0, buckets=((0.01, 1.0),)))

    metrics = {m.name: m.value for m in said if isinstance(m, Metric)}
    assert metrics == {
        "dns_queries_per_second": 200.0,
        "dns_nxdomain_ratio": 0.4,
        "dns_servfail_ratio": 0.0,
        "dns_p99_seconds": pytest.approx(0.0099),
        "dns_cache_hit_ratio": 0.4,
    }


def of(code: str, said: list[Said]) -> Any:
    (finding,) = (f for f in findings(said) if f.code == code)
    return finding.remedy


def test_the_autoscalers_parameters_make_what_is_asked_for() -> None:
    remedy = of("few-replicas", judge(on=nodes(400, cpus=64)))
    made = yaml.safe_load(remedy.manifest)
    linear = json.loads(made["data"]["linear"])

    by_these = Autoscaler(
        config_map="kube-system/kube-dns-autoscaler",
        cores_per_replica=linear["coresPerReplica"],
        nodes_per_replica=linear["nodesPerReplica"],
        least=linear["min"],
        prevent_single_point_failure=linear["preventSinglePointFailure"],
    )
    assert made["metadata"] == {"name": "kube-dns-autoscaler", "namespace": "kube-system"}
    assert by_these.replicas(400 * 64, 400) == 100
    assert remedy.commands == ("kubectl -n kube-system scale deployment/coredns --replicas=100",)


def test_an_autoscaler_is_told_and_not_worked_against() -> None:
    own = Autoscaler(config_map="kube-system/coredns-autoscaler", nodes_per_replica=100)
    remedy = of("few-replicas", judge(dns(autoscaler=own), on=nodes(200)))

    assert remedy.commands == ()
    assert yaml.safe_load(remedy.manifest)["metadata"]["name"] == "coredns-autoscaler"


def test_an_autoscaler_in_ladder_mode_stays_in_it() -> None:
    aks = Autoscaler(
        config_map="kube-system/coredns-autoscaler",
        cores_to_replicas=((1, 2), (512, 3)),
        nodes_to_replicas=((1, 2), (300, 3)),
    )
    made = yaml.safe_load(of("few-replicas", judge(dns(autoscaler=aks), on=nodes(200))).manifest)
    (mode, text), *more = made["data"].items()
    ladder = json.loads(text)
    told = Autoscaler(
        config_map="",
        cores_to_replicas=tuple(map(tuple, ladder["coresToReplicas"])),
        nodes_to_replicas=tuple(map(tuple, ladder["nodesToReplicas"])),
    )

    assert (mode, more) == ("ladder", [])
    assert [told.replicas(800, n) for n in (8, 200, 400)] == [3, 13, 26]


def test_labels_that_look_like_something_else_stay_text() -> None:
    odd = dns(selector={"dns.corp/server": "true", "version": "1.10"}, budgets=())

    made = yaml.safe_load(of("no-budget", judge(odd, on=nodes(100))).manifest)

    assert made["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": odd.selector}}


def test_the_patch_spreads_over_zones_and_nodes() -> None:
    (command,) = of("one-node", judge(dns(replicas=replicas("n0", "n0")))).commands
    *words, body = shlex.split(command)

    assert words == [
        *["kubectl", "-n", "kube-system", "patch", "deployment/coredns", "--type=strategic", "-p"]
    ]
    constraints = json.loads(body)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert {c["labelSelector"]["matchLabels"]["k8s-app"] for c in constraints} == {"kube-dns"}


def test_node_local_dnscache_gets_this_clusters_addresses() -> None:
    busy = traffic(requests=9000.0, responses={"NOERROR": 1.0})
    remedy = of("saturated", judge(did=busy))

    assert remedy.commands[0] == (
        "curl -sSfLO https://raw.githubusercontent.com/kubernetes/kubernetes/v1.36.3/cluster/"
        "addons/dns/nodelocaldns/nodelocaldns.yaml"
    )
    assert remedy.commands[1] == (
        "sed -i 's/__PILLAR__LOCAL__DNS__/169.254.20.10/g;s/__PILLAR__DNS__DOMAIN__/cluster.local/g"
        ";s/__PILLAR__DNS__SERVER__/10.96.0.10/g' nodelocaldns.yaml"
    )


@pytest.mark.parametrize(
    ("autoscaler", "cores", "count", "replicas"),
    [
        (Autoscaler(config_map="", cores_per_replica=256, nodes_per_replica=16), 400, 100, 7),
        (Autoscaler(config_map="", cores_per_replica=256), 400, 100, 2),
        (Autoscaler(config_map="", nodes_per_replica=16, least=9), 400, 100, 9),
        (Autoscaler(config_map="", nodes_per_replica=16, most=3), 400, 100, 3),
        (Autoscaler(config_map="", nodes_per_replica=16), 4, 1, 1),
        (
            Autoscaler(config_map="", nodes_per_replica=16, prevent_single_point_failure=True),
            8,
            2,
            2,
        ),
        (Autoscaler(config_map=""), 400, 100, 1),
        # As AKS has it.
        (
            Autoscaler(config_map="", cores_to_replicas=((1, 2), (512, 3), (1024, 4), (2048, 5))),
            1500,
            400,
            4,
        ),
        (
            Autoscaler(
                config_map="", cores_to_replicas=((8, 2),), nodes_to_replicas=((1, 1), (2, 6))
            ),
            4,
            3,
            6,
        ),
    ],
)
def test_what_an_autoscaler_makes(
    autoscaler: Autoscaler, cores: float, count: int, replicas: int
) -> None:
    assert autoscaler.replicas(cores, count) == replicas
