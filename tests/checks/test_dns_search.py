import json
import re
import shlex
import time
from array import array
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from k8sdiag import Finding, Metric, Severity, Usage
from k8sdiag.checks._dns_search_policy import KYVERNO
from k8sdiag.checks._dns_search_walk import EXTERNAL
from k8sdiag.checks.dns_search import DnsSearch, check
from k8sdiag.corefile import parse
from k8sdiag.facts.coredns import CoreDNS, Corefile, NodeLocal, Replica
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Container, DNSConfig, Pods, Profile, Workload, pack
from k8sdiag.kubeletdns import effective
from k8sdiag.model import Missing, Said, Unseen
from k8sdiag.resolver import predict

CLUSTER = ClusterDNS(domain="cluster.local", servers=("10.96.0.10",), configured=True)
NODE = NodeResolvConf(
    node="a",
    path="/etc/resolv.conf",
    nameservers=("192.168.0.2",),
    searches=("eu-west-1.compute.internal",),
)
NOT_A_NODE = Missing(reason="no kubelet runs on this host; run the audit on a node")
NO_NODES = Missing(reason="nodes were not listed")
NO_DNS = Missing(reason="services were not read")
ALPINE = (Container(image="registry.example.com/shop/web:1.2-alpine3.20"),)


def workload(name: str = "web", kind: str = "Deployment", namespace: str = "shop") -> Workload:
    return Workload(namespace, kind, name)


def asked(**options: str) -> DNSConfig:
    return DNSConfig(options=tuple(options.items()))


def profile(of: Workload | None = None, **fields: Any) -> Profile:
    return Profile(workload=of or workload(), **fields)


def pods(*counted: tuple[int, Profile], on: str = "a") -> Pods:
    column = array("I", [i for i, (count, _) in enumerate(counted) for _ in range(count)])
    return Pods(
        profiles=tuple(p for _, p in counted),
        nodes=(on,),
        profile_column=pack(column),
        node_column=pack(array("I", [0] * len(column))),
    )


def judge(
    running: Pods,
    *,
    cluster: ClusterDNS | Missing = CLUSTER,
    node: NodeResolvConf | Missing = NODE,
    nodes: Nodes | Missing = NO_NODES,
    dns: CoreDNS | Missing = NO_DNS,
    limits: DnsSearch | None = None,
) -> list[Said]:
    return list(check(running, cluster, node, nodes, dns, limits or DnsSearch()))


def findings(said: Iterable[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def unseen(said: Iterable[Said]) -> list[Unseen]:
    return [x for x in said if isinstance(x, Unseen)]


def of_all(count: int = 20_000, **fields: Any) -> Pods:
    return pods((count, profile(**fields)))


@pytest.mark.parametrize(
    "running",
    [
        pytest.param(pods(), id="no pods"),
        pytest.param(of_all(40), id="ndots:5 on a few pods, which is normal and harmless"),
        pytest.param(of_all(dns_policy="Default"), id="dnsPolicy Default"),
        pytest.param(of_all(host_network=True), id="ClusterFirst on the host's network"),
        pytest.param(of_all(dns_config=asked(ndots="2")), id="ndots:2"),
        pytest.param(of_all(dns_config=asked(ndots="1")), id="ndots:1"),
        pytest.param(
            of_all(
                dns_policy="None",
                dns_config=DNSConfig(nameservers=("10.96.0.10",), searches=("svc.cluster.local",)),
            ),
            id="None with one search domain and ndots as the resolvers have it",
        ),
        pytest.param(
            of_all(
                dns_policy="None",
                dns_config=DNSConfig(
                    nameservers=("10.96.0.10",), searches=(".",), options=(("ndots", "5"),)
                ),
            ),
            id="the search list switched off",
        ),
        pytest.param(of_all(phase="Succeeded"), id="pods that have ended"),
        pytest.param(
            pods((1, profile(workload(namespace="com"), dns_config=asked(ndots="1")))),
            id="a namespace called like a top-level domain where nobody searches",
        ),
        pytest.param(
            pods((1, profile(workload(namespace="dev")))), id="a namespace called dev, as many are"
        ),
        pytest.param(
            pods((1, profile(dns_config=DNSConfig(nameservers=("10.9.9.9",))))),
            id="a private nameserver beside the cluster's",
        ),
        pytest.param(
            pods((1, profile(dns_config=DNSConfig(searches=tuple(f"{i}.x" for i in range(28)))))),
            id="32 domains",
        ),
        pytest.param(
            pods((1, profile(dns_config=DNSConfig(searches=("d" * 250,))))),
            id="a list that musl ignores, in an image that is not known for it",
        ),
    ],
)
def test_quiet(running: Pods) -> None:
    said = judge(running)

    assert findings(said) == []
    assert unseen(said) == []


def test_what_is_not_known_of_a_small_cluster_does_not_matter() -> None:
    unknown = Missing(reason="forbidden")

    assert unseen(judge(of_all(40), cluster=unknown, node=NOT_A_NODE)) == []


def test_pods_on_windows_have_no_resolv_conf() -> None:
    nodes = Nodes(nodes=(Node(name="a", os="windows"),))

    assert findings(judge(of_all(), nodes=nodes)) == []
    assert findings(judge(of_all(), nodes=Nodes(nodes=(Node(name="a"),)))) != []


def test_a_large_workload() -> None:
    (finding,) = findings(judge(of_all(20_000)))

    assert (finding.code, finding.severity) == ("amplified", Severity.WARNING)
    assert finding.subject == "deployment/shop/web"
    assert finding.message == (
        "its 20,000 pods send 10 queries to look up www.example.com, and 2 would do: ndots:5 "
        "walks 4 search domains first; those of the nodes (eu-west-1.compute.internal) leave the "
        "cluster: 2 queries of each walk; assumed: 1 such lookups a second in each pod, "
        "and 5,000 queries a second that each of 2 CoreDNS replicas answers"
    )
    assert (finding.observed, finding.limit) == (10.0, 2.0)


def test_only_pods_that_have_the_domains_of_the_nodes_send_them_upstream() -> None:
    own = DNSConfig(
        nameservers=("10.96.0.10",), searches=("svc.cluster.local",), options=(("ndots", "5"),)
    )

    (finding,) = findings(judge(of_all(dns_policy="None", dns_config=own)))

    assert "walks 1 search domain first; assumed" in finding.message


def test_several_nameservers_cost_musl_more() -> None:
    extra = DNSConfig(nameservers=("10.9.9.9",))

    (finding,) = findings(judge(of_all(dns_config=extra)))

    assert "send 10 (glibc, Go) or 20 (musl) queries" in finding.message


def servers(replicas: int = 2, corefile: str = "", local: NodeLocal | None = None) -> CoreDNS:
    return CoreDNS(
        service="kube-system/kube-dns",
        addresses=("10.96.0.10",),
        replicas=tuple(Replica(f"coredns-{i}", ready=True) for i in range(replicas)),
        corefile=Corefile("kube-system/coredns", parse(corefile).servers),
        node_local=local,
    )


AUTOPATH = ". {\n kubernetes cluster.local {\n pods verified\n }\n autopath @kubernetes\n}\n"
LOCAL = NodeLocal(10, 10, ("169.254.20.10", "10.96.0.10"))


@pytest.mark.parametrize(
    ("dns", "queries"),
    [
        pytest.param(servers(100), 10.0, id="enough replicas for it"),
        pytest.param(servers(2, AUTOPATH), 2.0, id="autopath, which walks for its clients"),
        pytest.param(servers(2, local=LOCAL), 10.0, id="NodeLocal DNSCache, where walks end"),
    ],
)
def test_servers_that_can_bear_it(dns: CoreDNS, queries: float) -> None:
    said = judge(of_all(20_000), dns=dns)

    assert findings(said) == []
    worst = [x.value for x in said if isinstance(x, Metric) and "worst_case" in x.name]
    assert worst == [queries]


@pytest.mark.parametrize(
    ("dns", "running"),
    [
        pytest.param(servers(31), of_all(20_000), id="a few replicas too little"),
        pytest.param(servers(0), of_all(20_000), id="none is ready: two are assumed"),
        pytest.param(
            servers(2, AUTOPATH.replace("verified", "insecure")),
            of_all(20_000),
            id="autopath that does nothing",
        ),
        pytest.param(
            servers(2, AUTOPATH),
            of_all(20_000, dns_policy="ClusterFirstWithHostNet", host_network=True),
            id="autopath and pods with their nodes' address",
        ),
        pytest.param(
            servers(2, local=NodeLocal(10, 0)), of_all(20_000), id="a cache that is nowhere ready"
        ),
        pytest.param(
            servers(2, local=NodeLocal(10, 10, ("169.254.20.10",))),
            of_all(20_000),
            id="a cache that nobody asks",
        ),
    ],
)
def test_servers_that_can_not(dns: CoreDNS, running: Pods) -> None:
    assert [f.code for f in findings(judge(running, dns=dns))] == ["amplified"]


def test_a_cache_on_the_nodes_that_may_not_be_asked_is_not_taken_for_one_that_is() -> None:
    local = servers(2, local=NodeLocal(10, 10, ("169.254.20.10",)))
    nobody_tells = replace(CLUSTER, configured=False)

    said = judge(of_all(), dns=local, cluster=nobody_tells)
    small = judge(of_all(10), dns=local, cluster=nobody_tells)

    assert findings(said) == findings(small) == []
    assert [u.subject for u in unseen(said)] == ["whether pods ask NodeLocal DNSCache"]
    assert unseen(small) == []


def test_the_scale_decides() -> None:
    # Eight wasted queries of a lookup a second: 1,250 pods fill two replicas.
    assert findings(judge(of_all(1249))) == []
    assert len(findings(judge(of_all(1250)))) == 1


def test_thousands_of_workloads_are_some_findings() -> None:
    many = ((10, profile(workload(f"w{i:04}"))) for i in range(3000))
    large = ((3000 + i, profile(workload(f"large-{i}"))) for i in range(2))

    found = findings(judge(pods(*large, *many)))

    assert [f.subject for f in found] == [
        "deployment/shop/large-1",
        "deployment/shop/large-0",
        "cluster",
    ]
    assert "3,000 more workloads with 30,000 pods send 10 queries on average" in found[2].message
    assert "waste 288,008 queries a second" in found[2].message


def test_unknown_search_domains_of_the_nodes_are_said_and_not_guessed() -> None:
    said = judge(of_all(), node=NOT_A_NODE)

    assert "send 8 queries" in findings(said)[0].message
    (unknown,) = unseen(said)
    assert unknown.subject == "the nodes' own search domains"
    assert unknown.reason.endswith("no kubelet runs on this host; run the audit on a node")


def test_unknown_search_domains_are_said_where_they_could_matter() -> None:
    said = judge(of_all(1000), node=NOT_A_NODE)

    assert findings(said) == []
    assert len(unseen(said)) == 1


def patched(command: str) -> tuple[list[str], Any]:
    """The words of a kubectl patch, and the pod template in it."""
    words = shlex.split(command)
    body = json.loads(words[-1])
    while "dnsConfig" not in body:
        (body,) = body.values()
    return words[:-1], body["dnsConfig"]


def only_external(qname: str, *_: object) -> str:
    return "ok" if qname == "www.example.com." else "nxdomain"


@pytest.mark.parametrize(
    ("of", "target", "merge"),
    [
        (workload(), "deployment/web", "strategic"),
        (workload("nightly", "CronJob"), "cronjob/nightly", "strategic"),
        (workload("it's", "StatefulSet"), "statefulset/it's", "strategic"),
        (workload("web", "Rollout"), "rollout/web", "merge"),
    ],
)
def test_the_patch_does_what_it_promises(of: Workload, target: str, merge: str) -> None:
    before = profile(of, dns_config=asked(ndots="4", timeout="1", edns0=""))

    (finding,) = findings(judge(pods((20_000, before))))

    assert finding.remedy is not None
    (command,) = finding.remedy.commands
    words, config = patched(command)
    assert finding.remedy.manifest == ""
    assert words == ["kubectl", "-n", "shop", "patch", target, f"--type={merge}", "-p"]
    # The API replaces the whole list.
    assert config == {
        "options": [
            {"name": "timeout", "value": "1"},
            {"name": "edns0"},
            {"name": "ndots", "value": "2"},
        ]
    }
    promised = re.search(r": 10 queries become (\d+)", finding.remedy.summary)
    options = tuple((o["name"], o.get("value", "")) for o in config["options"])
    after = effective(replace(before, dns_config=DNSConfig(options=options)), CLUSTER, NODE)
    for resolver in ("glibc", "musl", "go"):
        found = predict(after.text, EXTERNAL, only_external, resolver=resolver)
        assert promised
        assert len(found.queries) == int(promised[1])
    assert "on musl (Alpine) SERVICE.NAMESPACE.svc would no longer resolve" in (
        finding.remedy.summary
    )


def test_one_policy_for_all_when_it_is_asked_for() -> None:
    running = pods((20_000, profile()), (9000, profile(workload("api"))))

    (finding,) = findings(judge(running, limits=DnsSearch(kyverno=True)))

    assert finding.subject == "cluster"
    assert finding.message.startswith("2 workloads with 29,000 pods send 10 queries on average")
    assert finding.remedy
    (rule,) = yaml.safe_load(finding.remedy.manifest)["spec"]["rules"]
    keys = [condition["key"] for condition in rule["preconditions"]["all"]]
    assert keys[0] == "{{ request.object.spec.containers[?contains(image, 'alpine')] | length(@) }}"
    kept = [e["resources"] for e in rule["exclude"]["any"]]
    assert [k["matchLabels"] for e in kept for k in e.values()] == [{"dns-ndots": "keep"}] * 2


def test_the_policy_does_what_it_promises() -> None:
    (rule,) = yaml.safe_load(KYVERNO)["spec"]["rules"]
    added = rule["mutate"]["patchStrategicMerge"]["spec"]["+(dnsConfig)"]
    options = tuple((o["name"], o["value"]) for o in added["options"])

    after = effective(profile(dns_config=DNSConfig(options=options)), CLUSTER, NODE)

    for resolver in ("glibc", "musl", "go"):
        assert len(predict(after.text, EXTERNAL, only_external, resolver=resolver).queries) == 2


@pytest.mark.parametrize("kind", ["Job", "Pod", "StaticPod", "SparkApplication"])
def test_what_kubectl_cannot_patch_gets_the_part_of_the_spec_alone(kind: str) -> None:
    (finding,) = findings(judge(pods((20_000, profile(workload(kind=kind))))))

    assert finding.remedy is not None
    assert finding.remedy.commands == ()
    assert finding.remedy.manifest == (
        'dnsConfig:\n  options:\n    - name: "ndots"\n      value: "2"\n'
    )


def test_an_alpine_image_is_not_told_to_break_its_names() -> None:
    (finding,) = findings(judge(of_all(containers=ALPINE)))

    assert finding.remedy is not None
    assert finding.remedy.commands == ()
    assert finding.remedy.manifest == ""
    assert (
        "write external names with a dot at their end (www.example.com.): 10 queries become 2"
        in (finding.remedy.summary)
    )
    assert "no longer resolves SERVICE.NAMESPACE.svc" in finding.remedy.summary


@pytest.mark.parametrize(
    ("made", "code", "says"),
    [
        pytest.param(
            profile(dns_config=asked(attempts="0")), "attempts-zero", "die", id="attempts:0"
        ),
        pytest.param(
            profile(dns_config=DNSConfig(nameservers=("10.1.1.1", "10.1.1.2", "10.1.1.3"))),
            "nameservers-omitted",
            "all but 10.96.0.10, 10.1.1.1, 10.1.1.2",
            id="a fourth nameserver",
        ),
        pytest.param(
            profile(dns_config=DNSConfig(searches=tuple(f"{i}.x" for i in range(32)))),
            "search-omitted",
            "36 domains, and the kubelet leaves out 4",
            id="36 domains",
        ),
        pytest.param(
            profile(dns_config=DNSConfig(searches=("d" * 168,)), containers=ALPINE),
            "search-ignored",
            "250 characters",
            id="a long list on Alpine",
        ),
        pytest.param(
            profile(dns_config=DNSConfig(searches=("d" * 253,)), dns_policy="None"),
            "",
            "",
            id="a long domain alone",
        ),
        pytest.param(
            profile(dns_config=DNSConfig(searches=("xy", "d" * 253)), dns_policy="None"),
            "glibc-aborts",
            "assertion resolv_conf_matches",
            id="a long domain after a short one",
        ),
        pytest.param(
            profile(dns_config=DNSConfig(nameservers=("8.8.8.8",))),
            "public-nameserver",
            "it asks 8.8.8.8 beside",
            id="a public nameserver",
        ),
        pytest.param(
            profile(workload(namespace="com")), "tld-namespace", "example.com", id="namespace com"
        ),
    ],
)
def test_mistakes(made: Profile, code: str, says: str) -> None:
    found = findings(judge(pods((1, made))))

    assert [f.code for f in found] == ([code] if code else [])
    assert says in "".join(f.message for f in found)
    assert all(f.remedy and f.remedy.summary for f in found)


def test_a_mistake_of_many_is_one_finding() -> None:
    zero = asked(attempts="0")
    made = [(1 + i, profile(workload(f"w{i}"), dns_config=zero)) for i in range(9)]

    (finding,) = findings(judge(pods(*made)))

    assert finding.subject == "deployment/shop/w8"
    assert finding.message.endswith("; 8 more workloads as well")


def test_old_kubelets_cut_after_six_domains() -> None:
    more = profile(dns_config=DNSConfig(searches=("a", "b", "c")))
    nodes = Nodes(nodes=(Node(name="a", kubelet="v1.36.3"), Node(name="b", kubelet="v1.24.17")))

    (finding,) = findings(judge(pods((1, more)), nodes=nodes))

    assert "7 domains, and the kubelet leaves out 1" in finding.message


def test_usages_are_those_of_the_worst_workload() -> None:
    more = profile(workload("search"), dns_config=DNSConfig(searches=("a", "b")))
    said = judge(pods((5, profile()), (1, more)), node=NOT_A_NODE)

    usages = {u.limit_id: u for u in said if isinstance(u, Usage)}

    assert usages.keys() == {"dns-search-domains", "dns-search-characters"}
    worst = usages["dns-search-domains"]
    assert (worst.subject, worst.used, worst.limit) == ("deployment/shop/search", 5.0, 32.0)
    assert "without the nodes' own domains" in worst.source


def test_nameservers_are_a_usage_where_a_pod_adds_some() -> None:
    more = profile(dns_config=DNSConfig(nameservers=("10.1.1.1",)))

    usages = [u for u in judge(pods((1, more))) if isinstance(u, Usage)]

    assert [(u.used, u.limit) for u in usages if u.limit_id == "dns-nameservers"] == [(2.0, 3.0)]


def test_metrics_count_pods_and_name_none() -> None:
    said = judge(pods((5, profile()), (2, profile(dns_config=asked(ndots="2")))))

    metrics = {(m.name, *m.labels.values()): m.value for m in said if isinstance(m, Metric)}

    assert metrics == {
        ("dns_pods", "ClusterFirst", "5"): 5.0,
        ("dns_pods", "ClusterFirst", "2"): 2.0,
        ("dns_worst_case_queries_per_lookup", "ClusterFirst"): 10.0,
    }


def test_150_000_pods_take_seconds() -> None:
    many = [
        (
            50,
            profile(workload(f"w{i}", namespace=f"team-{i % 500}"), dns_config=asked(x=str(i % 9))),
        )
        for i in range(3000)
    ]
    running = pods(*many)
    begin = time.process_time()

    found = findings(judge(running))

    assert time.process_time() - begin < 10
    assert len(found) < 20
