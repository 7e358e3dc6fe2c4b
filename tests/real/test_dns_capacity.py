"""A real CoreDNS with the kubernetes plugin on a real API server: what it says of itself is true.

A client of ours walks search lists as the resolver model does, with CoreDNS' own answers.
"""

import http.client
import json
import re
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
import yaml

from k8sdiag import plugins
from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks.dns_capacity import check
from k8sdiag.facts.coredns import CoreDNS, CoreDNSTraffic, Replica
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Workload
from k8sdiag.model import Finding, Metric, Missing, Said, Unavailable, Usage
from k8sdiag.rbac import POD, manifest
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.resolver import predict
from k8sdiag.run import choose, sources_of
from k8sdiag.sources import coredns, coredns_metrics, coredns_prometheus
from tests.real import prometheus
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import program
from tests.real.conftest import required
from tests.real.coredns import CoreDns
from tests.real.netns import Namespace

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
APPS = "/apis/apps/v1/namespaces/kube-system"
LABELS = {"k8s-app": "kube-dns"}
NAME = "www.example.com"
LOOKUPS = 25
# kubeadm's, but for where the API server is, and an upstream of our own on the loopback.
COREFILE = """\
.:53 {
    errors
    AUTOPATH
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig KUBECONFIG test
        pods PODS
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus ADDRESS:9153
    forward . 127.0.0.1:1053 {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    TEMPLATE
}
.:1053 {
    bind 127.0.0.1
    hosts {
        192.0.2.1 www.example.com
    }
}
"""


@dataclass(frozen=True)
class Cluster:
    api: ApiServer
    address: str  # of CoreDNS, the only replica of its Deployment
    door: Kubernetes

    def ask(self, qname: str, qtype: str, *_: object) -> str:
        """CoreDNS' answer, as the resolver model calls it."""
        query = dns.message.make_query(qname, qtype)
        reply = dns.query.udp(query, self.address, timeout=5)
        rcode = dns.rcode.to_text(reply.rcode()).lower()
        if rcode == "noerror":
            types = {dns.rdatatype.to_text(r.rdtype) for r in reply.answer}
            return "ok" if qtype in types else "nodata"
        return rcode

    def lookup(self, name: str = NAME, resolver: str = "glibc") -> Any:
        conf = (
            f"nameserver {self.address}\nsearch shop.svc.cluster.local svc.cluster.local "
            "cluster.local\noptions ndots:5\n"
        )
        return predict(conf, name, self.ask, resolver=resolver)


@pytest.fixture
def coredns_program() -> Path:
    with required():
        return program("coredns")


@pytest.fixture
def make_cluster(
    api_server: ApiServer,
    start_coredns: Callable[..., CoreDns],
    make_netns: Callable[..., Namespace],
) -> Iterator[Callable[..., Cluster]]:
    """make_cluster(autopath=False, pods="verified", template=""): CoreDNS and its objects."""
    admin, doors = api_server.admin, []
    made: list[str] = []

    def create(collection: str, name: str, obj: dict[str, Any]) -> str:
        admin.create(collection, {"metadata": {"name": name}} | obj)
        made.append(f"{collection}/{name}")
        return made[-1]

    def pod(namespace: str, name: str, ip: str, labels: dict[str, str]) -> None:
        path = create(
            f"/api/v1/namespaces/{namespace}/pods",
            name,
            {
                "metadata": {"name": name, "labels": labels},
                "spec": {"containers": [{"name": "a", "image": "a"}], "nodeName": "node-1"},
            },
        )
        found = admin.get(path)
        found["status"] = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        admin.put_status(path, found)

    def make(*, autopath: bool = False, pods: str = "verified", template: str = "") -> Cluster:
        namespace = make_netns(cable=True)
        config = api_server.kubeconfig(
            "coredns",
            [ADMINS],
            server=f"https://{namespace.host_address}:{api_server.port}",
            server_name="localhost",
        )
        text = COREFILE.replace("KUBECONFIG", str(config)).replace("ADDRESS", namespace.address)
        text = text.replace("AUTOPATH", "autopath @kubernetes" if autopath else "")
        text = text.replace("PODS", pods)
        text = text.replace("TEMPLATE", template)
        create("/api/v1/namespaces", "shop", {})
        # The client is a pod: autopath looks for its address.
        pod("shop", "client", namespace.host_address, {"app": "client"})
        create(
            f"{KUBE_SYSTEM}/services",
            "kube-dns",
            {
                "spec": {
                    "clusterIP": "10.96.0.10",
                    "selector": LABELS,
                    "ports": [{"port": 53, "protocol": "UDP"}],
                }
            },
        )
        container = {
            "name": "coredns",
            "image": "registry.k8s.io/coredns/coredns:v1.15.0",
            "resources": {"limits": {"memory": "170Mi"}},
        }
        create(
            f"{APPS}/deployments",
            "coredns",
            {
                "spec": {
                    "selector": {"matchLabels": LABELS},
                    "template": {
                        "metadata": {"labels": LABELS},
                        "spec": {"containers": [container]},
                    },
                }
            },
        )
        create(f"{KUBE_SYSTEM}/configmaps", "coredns", {"data": {"Corefile": text}})
        pod("kube-system", "coredns-1", namespace.address, LABELS)
        start_coredns(text, namespace=namespace, port=53)
        door = Kubernetes.open(api_server.kubeconfig("admin", [ADMINS]))
        doors.append(door)
        cluster = Cluster(api_server, namespace.address, door)
        wait_until(lambda: cluster.ask("kubernetes.default.svc.cluster.local", "A") == "ok")
        return cluster

    yield make
    for door in doors:
        door.close()
    for path in reversed(made):
        # No kubelet is there to end a pod.
        admin.request("DELETE", path, {"gracePeriodSeconds": 0})
    # No controller is there to empty it: the finalizer is ours to take off.
    namespace = admin.get("/api/v1/namespaces/shop")
    admin.request("PUT", "/api/v1/namespaces/shop/finalize", namespace | {"spec": {}})


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except dns.exception.Timeout:
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def measured(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]
) -> CoreDNSTraffic:
    """What coredns_metrics says of the work, which is done between its two looks."""
    cluster.door.coredns_metrics = True
    cluster.door.coredns_seconds = 0.5

    def sleep(seconds: float) -> None:
        if seconds == cluster.door.coredns_seconds:
            work()
        time.sleep(seconds)

    own = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr(coredns_metrics, "time", own)
    return coredns_metrics.collect(cluster.door)


def walk(cluster: Cluster) -> Callable[[], None]:
    def lookups() -> None:
        for _ in range(LOOKUPS):
            assert cluster.lookup().ok

    return lookups


def judged(cluster: Cluster, traffic: CoreDNSTraffic | Missing) -> tuple[CoreDNS, list[Said]]:
    fact = coredns.collect(cluster.door)
    absent = Missing(reason="not looked for", asked=False)
    nodes = Nodes(nodes=(Node(name="node-1", cpus=2),))
    said = check(fact, traffic, nodes, absent, absent, absent, DnsCapacity())
    return fact, list(said)


def codes(said: list[Said]) -> list[str]:
    return [x.code for x in said if isinstance(x, Finding)]


def metrics(said: list[Said]) -> dict[str, float]:
    return {x.name: x.value for x in said if isinstance(x, Metric)}


def test_a_walk_is_read_from_coredns_own_metrics(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    cluster.lookup()  # what is read below finds the external name in the cache

    traffic = measured(cluster, monkeypatch, walk(cluster))

    (replica,) = traffic.replicas
    assert replica.pod == "coredns-1"
    # Eight queries a lookup: three search domains that do not have the name, for A and AAAA.
    total = sum(replica.responses.values())
    assert replica.requests == pytest.approx(total)
    assert replica.responses["NXDOMAIN"] / total == pytest.approx(0.75)
    assert replica.cache_hits > 0
    assert replica.resident_bytes > 1 << 20
    fact, said = judged(cluster, traffic)
    assert fact.gaps == {}
    assert metrics(said)["dns_nxdomain_ratio"] == pytest.approx(0.75)
    assert 0 < metrics(said)["dns_p99_seconds"] < 1
    usages = {x.limit_id: x for x in said if isinstance(x, Usage)}
    assert usages["coredns-qps"].used == pytest.approx(replica.requests)
    assert 1 << 20 < usages["coredns-memory"].used < 170 << 20
    assert "through the API server" in usages["coredns-memory"].source
    assert codes(said) == []


def test_autopath_halves_and_halves_again(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(autopath=True)
    wait_until(lambda: len(cluster.lookup().queries) == 2)  # it has seen the client's pod

    traffic = measured(cluster, monkeypatch, walk(cluster))

    (replica,) = traffic.replicas
    assert "NXDOMAIN" not in {rcode for rcode, rate in replica.responses.items() if rate}
    for resolver in ("glibc", "musl", "go"):
        assert len(cluster.lookup(resolver=resolver).queries) == 2
    _, said = judged(cluster, traffic)
    assert metrics(said)["dns_nxdomain_ratio"] == 0.0
    assert codes(said) == []


def test_autopath_without_verified_pods_does_nothing(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(autopath=True, pods="insecure")

    _, said = judged(cluster, Missing(reason="not asked", asked=False))

    assert codes(said) == ["autopath-pods"]
    assert len(cluster.lookup().queries) == 8


def test_coredns_that_forwards_to_itself_ends(
    make_netns: Callable[..., Namespace], coredns_program: Path, tmp_path: Path
) -> None:
    (tmp_path / "Corefile").write_text(".:53 {\n loop\n forward . 127.0.0.1\n}\n")
    command = make_netns().command(coredns_program, "-conf", tmp_path / "Corefile")

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert re.search(r"Loop \(127.0.0.1:\d+ -> .*\) detected", done.stdout + done.stderr)


def test_a_denied_aaaa_breaks_musl_as_the_check_says(make_cluster: Callable[..., Cluster]) -> None:
    denied = "template IN AAAA {\n rcode NXDOMAIN\n }"
    cluster = make_cluster(template=denied)

    _, said = judged(cluster, Missing(reason="not asked", asked=False))

    assert codes(said) == ["template-nxdomain"]
    assert cluster.lookup().ok
    assert not cluster.lookup(resolver="musl").ok


def test_prometheus_tells_the_same(
    make_cluster: Callable[..., Cluster],
    start_prometheus: Callable[..., prometheus.Prometheus],
) -> None:
    cluster = make_cluster()
    target = {"targets": [f"{cluster.address}:9153"], "labels": {"pod": "coredns-1"}}
    # NodeLocal DNSCache has the same metrics on another port.
    other = {"targets": [f"{cluster.address}:9253"], "labels": {"pod": "node-local-dns-x"}}
    job = {"job_name": "dns", "static_configs": [target, other]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    door = Prometheus.open(start_prometheus(yaml.safe_dump(config)).url)
    series = "coredns_dns_responses_total"
    cluster.lookup()
    wait_until(lambda: bool(door.instant(f'rate({series}{{rcode="NXDOMAIN"}}[5m])')))
    before = door.instant(f"sum({series})")[0][1]
    walk(cluster)()
    wait_until(lambda: door.instant(f"sum({series})")[0][1] > before + LOOKUPS * 7)
    wait_until(lambda: bool(coredns_prometheus.collect(door).replicas[0].requests))

    traffic = coredns_prometheus.collect(door)

    (replica,) = traffic.replicas
    assert (replica.pod, replica.address) == ("coredns-1", cluster.address)
    share = replica.responses["NXDOMAIN"] / sum(replica.responses.values())
    assert share == pytest.approx(0.75, abs=0.02)
    assert replica.buckets[-1][0] == float("inf")
    assert replica.resident_bytes > 1 << 20
    assert replica.forwarded >= 0
    _, said = judged(cluster, traffic)
    assert metrics(said)["dns_nxdomain_ratio"] == pytest.approx(share)


def test_a_prometheus_without_coredns_says_so(
    start_prometheus: Callable[..., prometheus.Prometheus],
) -> None:
    with pytest.raises(Unavailable, match=r"does it scrape CoreDNS, on port 9153\?"):
        coredns_prometheus.collect(Prometheus.open(start_prometheus().url))


def test_the_printed_role_is_enough(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    admin, rbac = cluster.api.admin, "/apis/rbac.authorization.k8s.io/v1"
    wanted = sources_of(choose(("dns-capacity",), (), None).values(), plugins.sources()[0])
    made = []
    for document in yaml.safe_load_all(manifest(wanted, asked=(POD,))):
        place = document["metadata"].get("namespace")
        inside = f"/namespaces/{place}" if place else ""
        collection = f"{rbac}{inside}/{document['kind'].lower()}s"
        admin.create(collection, document)
        made.append(f"{collection}/{document['metadata']['name']}")
    account = cluster.api.kubeconfig("system:serviceaccount:k8sdiag:k8sdiag")
    own = Cluster(cluster.api, cluster.address, Kubernetes.open(account))
    try:
        fact = coredns.collect(own.door)
        traffic = measured(own, monkeypatch, walk(own))
    finally:
        own.door.close()
        for path in made:
            admin.delete(path)

    assert fact.gaps == {}
    assert fact.services >= 2
    assert len(traffic.replicas) == 1


def test_the_option_asks_and_without_it_nobody_does(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    config = cluster.api.kubeconfig("admin", [ADMINS])
    command = [sys.executable, "-m", "k8sdiag", "audit", "--kubeconfig", str(config), "-o", "json"]
    command += ["--check", "dns-capacity"]
    measured_by = {}
    for option in ("off", "proxy"):
        asked = [*command, f"--coredns-metrics={option}"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
        (outcome,) = json.loads(done.stdout)["outcomes"]
        found = [u["source"] for u in outcome["usages"] if u["limitId"] == "coredns-qps"]
        measured_by[option] = found

    assert measured_by["off"] == []
    (source,) = measured_by["proxy"]
    assert source.startswith("/metrics of 1 of 1 replicas through the API server, twice")


def test_without_the_permission_the_missing_verb_is_named(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster()
    door = Kubernetes.open(cluster.api.kubeconfig("nobody"))

    with pytest.raises(Unavailable, match=r'"get" on "services" in kube-system'):
        coredns.collect(door)

    door.close()


def patched(api: ApiServer, path: str, body: object, kind: str) -> tuple[int, Any]:
    """A PATCH that the API server checks and does not keep."""
    context = ssl.create_default_context(cafile=str(api.ca))
    pair = api.authority.issue("patcher", organizations=[ADMINS])
    context.load_cert_chain(pair.cert, pair.key)
    connection = http.client.HTTPSConnection("127.0.0.1", api.port, context=context, timeout=30)
    headers = {"Content-Type": f"application/{kind}"}
    dry = f"{path}?dryRun=All&fieldValidation=Strict&fieldManager=test"
    connection.request("PATCH", dry, json.dumps(body).encode(), headers)
    with connection.getresponse() as reply:
        found = reply.status, json.loads(reply.read())
    connection.close()
    return found


def few_and_together() -> tuple[CoreDNS, Nodes]:
    """A cluster of 400 nodes with both its replicas on one of them, and no budget."""
    fact = CoreDNS(
        service="kube-system/kube-dns",
        selector=LABELS,
        workload=Workload("kube-system", "Deployment", "coredns"),
        replicas=(Replica("a", "n0", ready=True), Replica("b", "n0", ready=True)),
        budgets=(),
    )
    return fact, Nodes(nodes=tuple(Node(name=f"n{i}", cpus=4) for i in range(400)))


def test_the_remedies_apply(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    fact, nodes = few_and_together()
    absent = Missing(reason="not looked for", asked=False)
    said = list(check(fact, absent, nodes, absent, absent, absent, DnsCapacity()))
    remedies = {x.code: x.remedy for x in said if isinstance(x, Finding) and x.remedy}
    assert remedies.keys() == {"few-replicas", "one-node", "no-budget"}

    scaler = yaml.safe_load(remedies["few-replicas"].manifest)
    budget = yaml.safe_load(remedies["no-budget"].manifest)
    paths = {
        f"{KUBE_SYSTEM}/configmaps/kube-dns-autoscaler": scaler,
        "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets/coredns": budget,
    }
    for path, manifest_ in paths.items():
        status, reply = patched(cluster.api, path, manifest_, "apply-patch+yaml")
        assert status in (200, 201), reply
        assert reply["metadata"]["name"] == path.rpartition("/")[2]

    *words, body = shlex.split(remedies["one-node"].commands[0])
    assert words[:5] == ["kubectl", "-n", "kube-system", "patch", "deployment/coredns"]
    path = f"{APPS}/deployments/coredns"
    status, reply = patched(cluster.api, path, json.loads(body), "strategic-merge-patch+json")
    assert status == 200, reply
    spec = reply["spec"]["template"]["spec"]
    assert [c["topologyKey"] for c in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert spec["containers"][0]["name"] == "coredns"

    *words, replicas = shlex.split(remedies["few-replicas"].commands[0])
    scale = {"spec": {"replicas": int(replicas.removeprefix("--replicas="))}}
    status, reply = patched(cluster.api, f"{path}/scale", scale, "merge-patch+json")
    assert (status, reply["spec"]["replicas"]) == (200, 25)
