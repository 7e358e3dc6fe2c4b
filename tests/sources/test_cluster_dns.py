"""With the ConfigMap of a kubeadm cluster and the Service that it makes."""

import json
from collections.abc import Mapping

import pytest

from k8sdiag.facts.dns import ClusterDNS
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import NotFound
from k8sdiag.sources import cluster_dns

KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
clusterDNS:
- 10.96.0.10
clusterDomain: k8s.corp
kind: KubeletConfiguration
resolvConf: /run/systemd/resolve/resolv.conf
"""
NO_CONFIG = NotFound('configmaps "kubelet-config" not found')
FORBIDDEN = Unavailable('not allowed: missing "get" on "configmaps" in kube-system')


def config_map(kubelet: str) -> bytes:
    return json.dumps({"kind": "ConfigMap", "data": {"kubelet": kubelet}}).encode()


def service(**spec: object) -> bytes:
    return json.dumps({"kind": "Service", "spec": spec}).encode()


DUAL = service(clusterIP="10.96.0.10", clusterIPs=["10.96.0.10", "fd00::a"])


class Door:
    def __init__(self, config: bytes | Unavailable, dns: bytes | Unavailable) -> None:
        self.replies = {"kubelet-config": config, "kube-dns": dns}
        self.asked: list[str] = []

    def get(
        self,
        path: str,
        needs: Permission,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float = 15.0,
    ) -> bytes:
        name = path.rpartition("/")[2]
        assert path == f"/api/v1/namespaces/kube-system/{needs.resource}/{name}"
        assert (needs.verb, needs.names, needs.namespace) == ("get", (name,), "kube-system")
        self.asked.append(name)
        reply = self.replies[name]
        if isinstance(reply, Unavailable):
            raise reply
        return reply


def collect(config: bytes | Unavailable, dns: bytes | Unavailable = DUAL) -> ClusterDNS:
    return cluster_dns.collect(Door(config, dns))  # type: ignore[arg-type]


def test_kubeadm_tells_both() -> None:
    door = Door(config_map(KUBELET), DUAL)

    found = cluster_dns.collect(door)  # type: ignore[arg-type]

    assert (found.domain, found.servers) == ("k8s.corp", ("10.96.0.10",))
    assert found.configured
    assert door.asked == ["kubelet-config"]


def test_without_kubeadm_the_domain_is_assumed_and_said_so() -> None:
    found = collect(NO_CONFIG)

    assert (found.domain, found.servers) == ("cluster.local", ("10.96.0.10", "fd00::a"))
    assert "domain cluster.local assumed" in found.provenance
    assert not found.configured


@pytest.mark.parametrize(
    ("config", "dns"),
    [
        pytest.param(FORBIDDEN, DUAL, id="the ConfigMap is forbidden"),
        pytest.param(config_map("{]"), DUAL, id="it is no YAML"),
        pytest.param(config_map("clusterDNS: yes"), DUAL, id="it is something else"),
        pytest.param(config_map("[]"), DUAL, id="it is a list"),
        pytest.param(config_map(""), DUAL, id="it is empty"),
        pytest.param(b"{}", service(clusterIP="10.96.0.10"), id="one address"),
    ],
)
def test_the_service_is_enough(config: bytes | Unavailable, dns: bytes) -> None:
    found = collect(config, dns)

    assert found.domain == "cluster.local"
    assert found.servers[0] == "10.96.0.10"


@pytest.mark.parametrize(
    "dns", [NotFound("gone"), service(clusterIP="None", clusterIPs=["None"]), service()]
)
def test_servers_may_stay_unknown(dns: bytes | Unavailable) -> None:
    assert collect(NO_CONFIG, dns).servers == ()


def test_nothing_allowed_is_unavailable_with_both_reasons() -> None:
    with pytest.raises(Unavailable, match=r'"configmaps".*"services"'):
        collect(FORBIDDEN, Unavailable('missing "get" on "services" in kube-system'))
