"""What dns-search reads of a real API server, and what its remedy does to real objects."""

import http.client
import json
import re
import shlex
import ssl
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from k8sdiag.checks._dns_search_walk import EXTERNAL
from k8sdiag.checks.dns_search import DnsSearch, check
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import DNSConfig, Pods, Profile, Workload, pack
from k8sdiag.kubeletdns import effective
from k8sdiag.model import Finding, Missing, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.resolver import predict
from k8sdiag.sources import cluster_dns
from tests.real.apiserver import ADMINS, ApiServer

SERVICE = "/api/v1/namespaces/kube-system/services"
CONFIG = "/api/v1/namespaces/kube-system/configmaps"
KUBELET = (
    "apiVersion: kubelet.config.k8s.io/v1beta1\nclusterDNS: [10.96.0.10]\nclusterDomain: k.corp\n"
)
ASKED = [{"name": "ndots", "value": "4"}, {"name": "timeout", "value": "1"}, {"name": "edns0"}]
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [{"name": "web", "image": "registry.example.com/web:1"}],
        "dnsConfig": {"searches": ["corp.example"], "options": ASKED},
    },
}


@pytest.fixture
def kube_dns(api_server: ApiServer) -> Iterator[None]:
    spec = {"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}
    api_server.admin.create(SERVICE, {"metadata": {"name": "kube-dns"}, "spec": spec})
    yield
    api_server.admin.delete(f"{SERVICE}/kube-dns")


def collect(api_server: ApiServer, user: str, *groups: str) -> ClusterDNS:
    door = Kubernetes.open(api_server.kubeconfig(user, groups))
    try:
        return cluster_dns.collect(door)
    finally:
        door.close()


def test_the_service_tells_the_address(api_server: ApiServer, kube_dns: None) -> None:
    found = collect(api_server, "dns-reader", ADMINS)

    assert (found.domain, found.servers) == ("cluster.local", ("10.96.0.10",))
    assert "assumed" in found.provenance


def test_kubeadm_s_config_map_tells_both(api_server: ApiServer) -> None:
    body = {"metadata": {"name": "kubelet-config"}, "data": {"kubelet": KUBELET}}
    api_server.admin.create(CONFIG, body)
    try:
        found = collect(api_server, "dns-reader", ADMINS)
    finally:
        api_server.admin.delete(f"{CONFIG}/kubelet-config")

    assert (found.domain, found.servers) == ("k.corp", ("10.96.0.10",))


def test_who_may_not_read_it_is_told_what_is_missing(api_server: ApiServer) -> None:
    with pytest.raises(Unavailable, match=r'"configmaps".*"services"'):
        collect(api_server, "dns-nobody")


@pytest.fixture(params=["Deployment", "CronJob"])
def workload(api_server: ApiServer, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A kind, and the path of a workload of this kind that has options of its own."""
    group, plural, spec = {
        "Deployment": (
            "apps",
            "deployments",
            {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
        ),
        "CronJob": ("batch", "cronjobs", {"schedule": "@daily", "jobTemplate": job(TEMPLATE)}),
    }[request.param]
    folder = f"/apis/{group}/v1/namespaces/default/{plural}"
    api_server.admin.create(folder, {"metadata": {"name": "web"}, "spec": spec})
    yield request.param, f"{folder}/web"
    api_server.admin.delete(f"{folder}/web")


def job(template: dict[str, Any]) -> dict[str, Any]:
    never = {**template["spec"], "restartPolicy": "Never"}
    return {"spec": {"template": {**template, "spec": never}}}


def patch(api_server: ApiServer, path: str, body: str) -> Any:
    """As `kubectl patch --type=strategic` does."""
    context = ssl.create_default_context(cafile=str(api_server.ca))
    pair = api_server.authority.issue("patcher", organizations=[ADMINS])
    context.load_cert_chain(pair.cert, pair.key)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", api_server.port, context=context, timeout=30
    )
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    connection.request("PATCH", path, body.encode(), headers)
    with connection.getresponse() as reply:
        assert reply.status == 200
        made = json.loads(reply.read())
    connection.close()
    return made


def test_the_patch_leaves_the_dns_config_that_was_judged(
    api_server: ApiServer, workload: tuple[str, str]
) -> None:
    kind, path = workload
    cluster = ClusterDNS(domain="cluster.local", servers=("10.96.0.10",))
    node = NodeResolvConf(node="a", path="/etc/resolv.conf")
    options = tuple((option["name"], option.get("value", "")) for option in ASKED)
    before = Profile(
        workload=Workload("default", kind, "web"),
        dns_config=DNSConfig(searches=("corp.example",), options=options),
    )
    pods = Pods(
        profiles=(before,),
        nodes=("a",),
        profile_column=pack(array("I", [0] * 5000)),
        node_column=pack(array("I", [0] * 5000)),
    )
    absent = Missing(reason="not listed")
    said = check(pods, cluster, node, absent, absent, DnsSearch())
    (finding,) = (x for x in said if isinstance(x, Finding))
    assert finding.remedy is not None

    *_, body = shlex.split(finding.remedy.commands[0])
    made = patch(api_server, path, body)["spec"]

    spec = made.get("jobTemplate", {}).get("spec", made)["template"]["spec"]
    config = spec["dnsConfig"]
    assert config["searches"] == ["corp.example"]
    after = Profile(
        workload=before.workload,
        dns_config=DNSConfig(
            searches=tuple(config["searches"]),
            options=tuple((o["name"], o.get("value", "")) for o in config["options"]),
        ),
    )
    text = effective(after, cluster, node).text
    assert "options ndots:2 timeout:1 edns0" in text
    promised = re.search(r"10 queries become (\d+)", finding.remedy.summary)
    assert promised
    found = predict(text, EXTERNAL, lambda q, *_: "ok" if q == f"{EXTERNAL}." else "nxdomain")
    assert len(found.queries) == int(promised[1])
