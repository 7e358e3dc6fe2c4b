"""What the specs of a control plane's pods say, as distributions lay them out."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from k8sdiag.facts.etcd import NO_QUOTA
from k8sdiag.model import Unavailable
from k8sdiag.sources import etcd_pods
from k8sdiag.sources.etcd_pods import api_server, collect, etcd, quota
from tests.scripted_api import Answer, listed, opened, refused

GIB = 1 << 30
KUBEADM = {
    "metadata": {
        "name": "etcd-cp1",
        "namespace": "kube-system",
        "annotations": {
            "kubeadm.kubernetes.io/etcd.advertise-client-urls": "https://10.0.0.1:2379"
        },
    },
    "spec": {
        "nodeName": "cp1",
        "containers": [
            {
                "name": "etcd",
                "image": "registry.k8s.io/etcd:3.6.4-0",
                "command": [
                    "etcd",
                    "--advertise-client-urls=https://10.0.0.1:2379",
                    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
                    "--key-file=/etc/kubernetes/pki/etcd/server.key",
                    "--listen-metrics-urls=http://127.0.0.1:2381",
                    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
                ],
                "env": [{"name": "HTTP_PROXY", "value": "http://me:hunter2@proxy"}],
            }
        ],
    },
}


def pod(obj: dict[str, Any]) -> etcd_pods._Pod:
    return msgspec.convert(obj, etcd_pods._Pod)


def test_kubeadm() -> None:
    found = etcd(pod(KUBEADM))

    assert found is not None
    assert (found.name, found.node, found.version) == ("etcd-cp1", "cp1", "3.6.4")
    assert (found.quota_bytes, found.quota_source) == (
        2 * GIB,
        "not set, so etcd's default of 2 GiB",
    )
    assert found.client_urls == ("https://10.0.0.1:2379",)
    assert found.metrics_ports == (2381,)
    assert found.etcdctl_flags == (
        "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
        "--cert=/etc/kubernetes/pki/etcd/server.crt",
        "--key=/etc/kubernetes/pki/etcd/server.key",
    )
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("line", "env", "expected"),
    [
        ("etcd --quota-backend-bytes=8589934592", "", (8 * GIB, "--quota-backend-bytes")),
        ("etcd --quota-backend-bytes 4294967296", "", (4 * GIB, "--quota-backend-bytes")),
        ("etcd --quota-backend-bytes=4294967296", "1", (4 * GIB, "--quota-backend-bytes")),
        ("etcd --quota-backend-bytes=0", "5", (2 * GIB, "not set, so etcd's default of 2 GiB")),
        ("etcd --quota-backend-bytes=-1", "", (NO_QUOTA, "--quota-backend-bytes")),
        ("sh -c 'exec etcd --x'", "8589934592", (8 * GIB, "ETCD_QUOTA_BACKEND_BYTES")),
        ("etcd --config-file=/etc/etcd", "5", (None, "its config file has it")),
        (
            "etcd --quota-backend-bytes=$(Q)",
            "",
            (None, "--quota-backend-bytes is set by another variable"),
        ),
    ],
)
def test_the_quota(line: str, env: str, expected: tuple[int | None, str]) -> None:
    assert quota(line, {"ETCD_QUOTA_BACKEND_BYTES": env} if env else {}) == expected


@pytest.mark.parametrize(
    ("command", "apart"),
    [
        (["kube-apiserver", "--etcd-servers=https://a:2379"], False),
        (
            ["kube-apiserver", "--etcd-servers=x", "--etcd-servers-overrides=/events#https://b"],
            True,
        ),
        (
            [
                "kube-apiserver",
                "--etcd-servers=x",
                "--etcd-servers-overrides=apps/things#https://b",
            ],
            False,
        ),
        (["openshift-kube-apiserver", "--openshift-config=/etc/config.yaml"], None),
    ],
)
def test_where_the_events_go(command: list[str], apart: bool | None) -> None:
    container = {"name": "kube-apiserver", "command": command}
    found = api_server(pod({"metadata": {"name": "a"}, "spec": {"containers": [container]}}))

    assert found is not None
    assert found.events_apart is apart


def test_a_control_plane_is_read_with_two_requests(tmp_path: Path) -> None:
    with opened(tmp_path, Answer(listed(KUBEADM)), Answer(listed())) as door:
        fact = collect(door)

    assert [p.name for p in fact.etcds] == ["etcd-cp1"]
    assert fact.gaps == {}


def test_a_managed_cluster_shows_none(tmp_path: Path) -> None:
    with (
        opened(tmp_path, *[Answer(listed())] * 3) as door,
        pytest.raises(Unavailable, match="runs its control plane elsewhere"),
    ):
        collect(door)


def test_a_refusal_names_the_permission(tmp_path: Path) -> None:
    said = 'pods is forbidden: User "me" cannot list resource "pods"'
    with (
        opened(tmp_path, *[refused(403, said)] * 3) as door,
        pytest.raises(Unavailable, match='grant "list" on "pods" in kube-system'),
    ):
        collect(door)
