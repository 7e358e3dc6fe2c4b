"""Objects as kubeadm, OpenShift, AKS and NodeLocal DNSCache make them, cut to what counts."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from k8sdiag.facts.coredns import Autoscaler, CoreDNS, Plugin, Replica
from k8sdiag.facts.pods import Workload
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import NotFound
from k8sdiag.sources import coredns

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
APPS = "/apis/apps/v1/namespaces/kube-system"
BUDGETS = "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets"
COREFILE = """\
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa {
       pods verified
       endpoint https://10.0.0.1 with-a-secret
    }
    route53 example.org.:Z1 {
       aws_access_key AKIAEXAMPLE very-secret
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
       tls_servername a.example
    }
    import custom/*.override
}
import custom/*.server
"""


def deployment(called: str = "coredns", app: str = "kube-dns", **container: Any) -> dict[str, Any]:
    labels = {"k8s-app": app, "pod-template-hash": "5f"}
    made = {"name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.12.1"} | container
    made.setdefault("resources", {"limits": {"memory": "170Mi"}})
    template = {"metadata": {"labels": labels}, "spec": {"containers": [made]}}
    return {"metadata": {"name": called}, "spec": {"template": template}}


def pod(name: str, phase: str = "Running", ready: str = "True", ip: str = "") -> dict[str, Any]:
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": "n0"},
        "status": status | ({"podIP": ip, "podIPs": [{"ip": ip}, {"ip": "fd00::1"}]} if ip else {}),
    }


NODE_LOCAL = deployment(
    "node-local-dns",
    "node-local-dns",
    image="k8s-dns-node-cache:1.26.4",
    args=["-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"],
) | {"status": {"desiredNumberScheduled": 5, "numberReady": 4}}
SERVICE = {
    "spec": {
        "clusterIP": "10.96.0.10",
        "clusterIPs": ["10.96.0.10"],
        "selector": {"k8s-app": "kube-dns"},
    }
}
KUBERNETES_OWN = (
    '{"coresPerReplica":256,"nodesPerReplica":16,"preventSinglePointFailure":true,'
    '"includeUnschedulableNodes":true}'
)
FORBIDDEN = Unavailable('may not list "deployments.apps": grant it')


def budget(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}}}


def config_map(**data: str) -> dict[str, Any]:
    return {"data": data}


CLUSTER: dict[str, Any] = {
    f"{KUBE_SYSTEM}/services/kube-dns": SERVICE,
    f"{KUBE_SYSTEM}/pods": [pod("a", ip="10.244.0.2"), pod("b", ready="False"), pod("c", "Failed")],
    f"{KUBE_SYSTEM}/configmaps/coredns": config_map(Corefile=COREFILE),
    f"{APPS}/deployments": [deployment("other", "other"), deployment()],
    f"{APPS}/daemonsets": [],
    BUDGETS: [
        budget("coredns", **{"k8s-app": "kube-dns"}),
        budget("other", app="x"),
        {"metadata": {"name": "of nothing"}, "spec": {}},
    ],
    "/api/v1/services": {"metadata": {"remainingItemCount": 41}, "items": [{"any": "thing"}]},
}


class Door:
    def __init__(self, replies: Mapping[str, Any]) -> None:
        self.replies = replies
        self.asked: list[tuple[str, Permission]] = []

    def _reply(self, path: str, needs: Permission) -> Any:
        self.asked.append((path, needs))
        reply = self.replies.get(path, NotFound(f"{path}: not found"))
        if isinstance(reply, Unavailable):
            raise reply
        return reply

    def get(
        self, path: str, needs: Permission, *, params: Mapping[str, str] | None = None
    ) -> bytes:
        reply = self._reply(path, needs)
        return reply if isinstance(reply, bytes) else json.dumps(reply).encode()

    def pages(
        self, path: str, item: type, needs: Permission, *, params: Mapping[str, str] | None = None
    ) -> Iterator[list[Any]]:
        yield msgspec.convert(self._reply(path, needs), type=list[item])  # type: ignore[valid-type]


def collected(replies: Mapping[str, Any]) -> CoreDNS:
    return coredns.collect(Door(replies))  # type: ignore[arg-type]


def test_a_kubeadm_cluster() -> None:
    found = collected(CLUSTER)

    assert (found.service, found.addresses) == ("kube-system/kube-dns", ("10.96.0.10",))
    assert found.workload == Workload("kube-system", "Deployment", "coredns")
    assert (found.container, found.memory_limit_bytes) == ("coredns", 170 << 20)
    assert found.replicas == (
        Replica("a", "n0", ("10.244.0.2", "fd00::1"), ready=True),
        Replica("b", "n0"),
    )
    assert found.budgets == ("coredns",)
    assert (found.autoscaler, found.node_local, found.services) == (None, None, 42)
    assert found.gaps == {}


def test_every_request_is_declared_and_names_its_config_map() -> None:
    door = Door(CLUSTER | {f"{APPS}/daemonsets": [NODE_LOCAL]})

    coredns.collect(door)  # type: ignore[arg-type]

    assert {needs for _, needs in door.asked} <= set(coredns.PERMISSIONS)
    named = [(path, needs) for path, needs in door.asked if needs.resource == "configmaps"]
    assert len(named) == 6
    assert all(needs.names == (path.rpartition("/")[2],) for path, needs in named)


def test_only_what_is_judged_is_kept_of_a_corefile() -> None:
    found = collected(CLUSTER)

    assert found.corefile
    (server,) = found.corefile.servers
    assert server.plugins == (
        Plugin("errors"),
        Plugin("kubernetes", ("cluster.local", "in-addr.arpa"), (("pods", "verified"),)),
        Plugin("route53"),
        Plugin("forward", (".", "/etc/resolv.conf"), (("max_concurrent", "1000"),)),
    )
    assert b"secret" not in msgspec.json.encode(found)


def test_what_a_corefile_imports_of_the_second_config_map() -> None:
    custom = config_map(**{"a.override": "log", "b.server": "corp {\n forward . 10.9.9.9\n}\n"})
    found = collected(CLUSTER | {f"{KUBE_SYSTEM}/configmaps/coredns-custom": custom})

    assert found.corefile
    assert [s.zones for s in found.corefile.servers] == [(".",), ("corp",)]
    assert found.corefile.servers[0].plugins[-1] == Plugin("log")


def test_a_broken_corefile_is_a_fact_and_not_a_gap() -> None:
    text = config_map(Corefile=".:53 {\n errors\n")
    found = collected(CLUSTER | {f"{KUBE_SYSTEM}/configmaps/coredns": text})

    assert found.corefile
    assert found.corefile.broken == "Corefile:1: this { is never closed"
    assert found.gaps == {}


def test_a_file_from_elsewhere_is_a_gap() -> None:
    text = config_map(Corefile=".:53 {\n import /etc/other\n}\n")
    found = collected(CLUSTER | {f"{KUBE_SYSTEM}/configmaps/coredns": text})

    assert list(found.gaps) == ["/etc/other, which the Corefile of kube-system/coredns imports"]


@pytest.mark.parametrize(
    ("path", "gap"),
    [
        (f"{APPS}/deployments", "the DNS servers' workload"),
        (f"{KUBE_SYSTEM}/pods", "the DNS servers' pods"),
        (BUDGETS, "the DNS servers' PodDisruptionBudgets"),
        (f"{KUBE_SYSTEM}/configmaps/coredns", "the Corefile"),
        (f"{KUBE_SYSTEM}/configmaps/coredns-custom", "what the Corefile imports"),
        (f"{KUBE_SYSTEM}/configmaps/coredns-autoscaler", "the DNS autoscaler"),
        ("/api/v1/services", "the number of Services"),
    ],
)
def test_what_may_not_be_read_is_a_gap_and_costs_nothing_else(path: str, gap: str) -> None:
    found = collected(CLUSTER | {path: FORBIDDEN})

    assert found.gaps == {gap: str(FORBIDDEN)}
    assert found.addresses == ("10.96.0.10",)


def test_openshift() -> None:
    place = "/api/v1/namespaces/openshift-dns"
    apps = "/apis/apps/v1/namespaces/openshift-dns"
    made = deployment("dns-default", "dns", name="dns", image="quay.io/openshift/origin-coredns")
    found = collected(
        {
            f"{place}/services/dns-default": {
                "spec": {"clusterIP": "172.30.0.10", "selector": {"k8s-app": "dns"}}
            },
            f"{place}/pods": [pod("dns-default-x")],
            f"{place}/configmaps/dns-default": config_map(Corefile=".:5353 {\n errors\n}\n"),
            f"{apps}/deployments": [],
            f"{apps}/daemonsets": [made],
            BUDGETS.replace("kube-system", "openshift-dns"): [],
            "/api/v1/services": {"metadata": {}, "items": [{}]},
        }
    )

    assert (found.service, found.addresses) == ("openshift-dns/dns-default", ("172.30.0.10",))
    assert found.workload == Workload("openshift-dns", "DaemonSet", "dns-default")
    assert (found.container, found.services, found.gaps) == ("dns", 1, {})


@pytest.mark.parametrize(
    ("service", "says"),
    [
        pytest.param(NotFound("gone"), "there is no Service kube-system/kube-dns or", id="none"),
        pytest.param(FORBIDDEN, "may not list", id="forbidden"),
        pytest.param(
            {"spec": {"clusterIP": "10.0.0.10"}}, "selects no pods: .* managed DNS", id="managed"
        ),
        pytest.param(b"[]", "services/kube-dns: Expected `object`", id="something else"),
    ],
)
def test_without_a_service_there_is_nothing_to_judge(service: Any, says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        collected(CLUSTER | {f"{KUBE_SYSTEM}/services/kube-dns": service})


@pytest.mark.parametrize(
    ("args", "addresses"),
    [
        (["-localip", "169.254.20.10,10.96.0.10"], ("169.254.20.10", "10.96.0.10")),
        (["-localip=169.254.20.10"], ("169.254.20.10",)),
        (["--localip", "169.254.20.10, "], ("169.254.20.10",)),
        (["-localip"], ()),
        ([], ()),
    ],
)
def test_node_local_dnscache(args: list[str], addresses: tuple[str, ...]) -> None:
    local = deployment("node-local-dns", "node-local-dns", args=args)
    local["status"] = {"desiredNumberScheduled": 5, "numberReady": 4}
    found = collected(CLUSTER | {f"{APPS}/daemonsets": [local]}).node_local

    assert found
    assert (found.desired, found.ready, found.addresses) == (5, 4, addresses)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "kube-dns-autoscaler",
            {"linear": KUBERNETES_OWN},
            {
                "cores_per_replica": 256,
                "nodes_per_replica": 16,
                "prevent_single_point_failure": True,
            },
        ),
        (
            "coredns-autoscaler",
            {"ladder": '{"coresToReplicas":[[1,2],[512,3]],"nodesToReplicas":[[1,2],[8,3]]}'},
            {"cores_to_replicas": ((1, 2), (512, 3)), "nodes_to_replicas": ((1, 2), (8, 3))},
        ),
        ("dns-autoscaler", {"linear": '{"min":3,"max":9}'}, {"least": 3, "most": 9}),
    ],
)
def test_the_autoscalers_parameters(
    name: str, data: dict[str, str], expected: dict[str, Any]
) -> None:
    path = f"{KUBE_SYSTEM}/configmaps/{name}"
    found = collected(CLUSTER | {path: config_map(**data)}).autoscaler

    assert found == Autoscaler(config_map=f"kube-system/{name}", **expected)


def test_an_autoscaler_whose_parameters_are_none_is_a_gap() -> None:
    path = f"{KUBE_SYSTEM}/configmaps/kube-dns-autoscaler"
    found = collected(CLUSTER | {path: config_map(linear="min: 2")})

    assert "ConfigMap kube-system/kube-dns-autoscaler: " in found.gaps["the DNS autoscaler"]
