"""The cluster's size and addresses, as a real API server tells them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import control_plane, services
from tests.real.apiserver import ADMINS, ApiServer

FLAGS = [
    "--cluster-cidr=10.244.0.0/20",
    "--allocate-node-cidrs=true",
    "--authorization-mode=secret",
]
SYSTEM = "/api/v1/namespaces/kube-system"


@pytest.fixture
def door(api_server: ApiServer) -> Iterator[Kubernetes]:
    door = Kubernetes.open(api_server.kubeconfig("admin", [ADMINS]), None)
    yield door
    door.close()


def pod(name: str, component: str, command: list[str]) -> dict[str, Any]:
    container = {
        "name": component,
        "image": f"registry.example.com/{component}:v1",
        "command": command,
    }
    metadata = {"name": name, "labels": {"component": component, "tier": "control-plane"}}
    return {"metadata": metadata, "spec": {"containers": [container]}}


def test_services_are_counted_with_their_range(api_server: ApiServer, door: Kubernetes) -> None:
    before = services.collect(door)
    spec = {"ports": [{"port": 80}]}
    headless = {"clusterIP": "None", "ports": [{"port": 80}]}
    collection = "/api/v1/namespaces/default/services"
    for name, what in (("one", spec), ("two", spec), ("headless", headless)):
        api_server.admin.create(collection, {"metadata": {"name": name}, "spec": what})
    try:
        after = services.collect(door)
    finally:
        for name in ("one", "two", "headless"):
            api_server.admin.delete(f"{collection}/{name}")

    assert after.by_namespace["default"] - before.by_namespace["default"] == 3
    assert after.cluster_ips["ipv4"] - before.cluster_ips["ipv4"] == 2
    assert after.ranges == ("10.96.0.0/16",)


def test_only_the_flags_of_the_ranges_are_kept(api_server: ApiServer, door: Kubernetes) -> None:
    admin = api_server.admin
    manager = pod("manager-0", "kube-controller-manager", ["kube-controller-manager", *FLAGS])
    proxy = {"metadata": {"name": "kube-proxy"}, "data": {"config.conf": 'kind: K\nmode: ""\n'}}
    admin.create(f"{SYSTEM}/pods", manager)
    admin.create(f"{SYSTEM}/pods", pod("server-0", "kube-apiserver", ["kube-apiserver"]))
    admin.create(f"{SYSTEM}/configmaps", proxy)
    try:
        found = control_plane.collect(door)
    finally:
        for path in ("pods/manager-0", "pods/server-0", "configmaps/kube-proxy"):
            admin.delete(f"{SYSTEM}/{path}?gracePeriodSeconds=0")

    assert (found.api_servers, found.cluster_cidrs) == (1, ("10.244.0.0/20",))
    assert (found.node_masks, found.allocates) == ({"ipv4": 24}, True)
    assert found.proxy_mode == "iptables"


def test_a_control_plane_elsewhere_is_unknown(api_server: ApiServer, tmp_path: Path) -> None:
    from tests.real.test_audit import audited

    kubeconfig = api_server.kubeconfig("admin", [ADMINS])
    _, said = audited(
        "--kubeconfig", kubeconfig, "--check", "cluster-size", "--check", "cluster-addresses"
    )

    assert {u["limitId"] for u in said["cluster-size"]["usages"]} >= {"nodes", "pods", "services"}
    assert "secret" not in json.dumps(said["cluster-addresses"])
