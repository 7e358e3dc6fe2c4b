"""The event that a real kubelet writes when it cuts a search list tells the node's domains."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import node_resolv_conf_events
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.kubelet import Kubelet

PODS = "/api/v1/namespaces/default/pods"
SECONDS = 60.0  # until the kubelet has come to the pod


@pytest.fixture
def kubelet(start_kubelet: Callable[..., Kubelet], tmp_path: Path) -> Kubelet:
    """One whose node has two search domains."""
    path = tmp_path / "node-resolv.conf"
    path.write_text("nameserver 192.0.2.53\nsearch node.example corp.example\n")
    dns = {"clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local"}
    return start_kubelet({**dns, "resolvConf": str(path)})


@pytest.fixture
def pod(api_server: ApiServer, kubelet: Kubelet) -> Iterator[None]:
    """A pod of this node that asks for as many search domains as the API lets it."""
    spec = {
        "nodeName": kubelet.node,
        "hostNetwork": True,  # this kubelet has no network plugin, and so starts no other
        "dnsPolicy": "ClusterFirstWithHostNet",
        "containers": [{"name": "web", "image": "registry.invalid/web:1"}],
        "dnsConfig": {"searches": [f"own-{i}.example" for i in range(32)]},
    }
    api_server.admin.create(PODS, {"metadata": {"name": "cut"}, "spec": spec})
    yield
    api_server.admin.raw("DELETE", f"{PODS}/cut?gracePeriodSeconds=0")
    api_server.admin.raw("DELETE", "/api/v1/namespaces/default/events")


def test_it_is_read_and_the_rest_is_taken_away(
    api_server: ApiServer, kubelet: Kubelet, pod: None
) -> None:
    with closing(Kubernetes.open(api_server.kubeconfig("dns-reader", [ADMINS]))) as door:
        found = wait(door)

    assert found.searches == ("node.example", "corp.example")
    assert found.node == kubelet.node


def wait(door: Kubernetes) -> NodeResolvConf:
    end = time.monotonic() + SECONDS
    while True:
        try:
            return node_resolv_conf_events.collect_alone(door)
        except Unavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
