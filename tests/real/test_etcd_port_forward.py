"""etcd's metrics through a real API server, kubelet and containerd, by a port-forward.

The pod is a static one in its node's network, as kubeadm's; its sandbox runs. etcd itself runs
beside it on the node's loopback: a container needs more of the cgroups than a test bed has.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.model import Finding, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import etcd_port_forward
from tests.real import registry
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import program, running
from tests.real.components import MissingError
from tests.real.conftest import required
from tests.real.kubelet import Kubelet
from tests.real.test_etcd import judged

PORT = 5000
IMAGE = f"127.0.0.1:{PORT}/pause:1"
QUOTA = 16 << 20
MANIFEST = "/etc/kubernetes/manifests/etcd.json"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "etcd",
        "namespace": "kube-system",
        "labels": {"component": "etcd", "tier": "control-plane"},
        "annotations": {
            "kubeadm.kubernetes.io/etcd.advertise-client-urls": "https://10.0.0.1:2379"
        },
    },
    "spec": {
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "containers": [
            {
                "name": "etcd",
                "image": IMAGE,
                "command": ["etcd", "--listen-metrics-urls=http://127.0.0.1:2381"],
            }
        ],
    },
}
CONTAINERD = f"""version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
"""
MIRROR = f"""server = "http://127.0.0.1:{PORT}"
[host."http://127.0.0.1:{PORT}"]
capabilities = ["pull", "resolve"]
"""


@pytest.fixture
def node(start_kubelet: Callable[..., Kubelet], tmp_path: Path) -> Iterator[Kubelet]:
    """A node with an etcd on its loopback, and the sandbox of a pod that stands for it."""
    with required():
        etcd, waits = program("etcd"), program("coredns")
    registry.lay_out(tmp_path / "image", waits, ["-dns.port=10053"])
    kubelet = start_kubelet(
        {"staticPodPath": str(Path(MANIFEST).parent)},
        files={
            MANIFEST: json.dumps(POD),
            "/etc/containerd/config.toml": CONTAINERD,
            f"/etc/containerd/certs.d/127.0.0.1:{PORT}/hosts.toml": MIRROR,
        },
    )
    serve = [sys.executable, registry.__file__, tmp_path / "image", str(PORT)]
    command: list[str | Path] = [etcd, f"--data-dir={tmp_path}/data", "--name=etcd-of-node"]
    command += ["--listen-metrics-urls=http://127.0.0.1:2381", f"--quota-backend-bytes={QUOTA}"]
    with ExitStack() as stack:
        for name, words in (("registry", serve), ("etcd", command)):
            stack.enter_context(running(name, kubelet.namespace.command(*words), tmp_path))
        stack.callback(without_pods, kubelet)
        yield kubelet


def without_pods(kubelet: Kubelet) -> None:
    """Take the pod away and wait until its sandbox is gone: nothing else would end it."""
    (kubelet.root / MANIFEST.lstrip("/")).unlink()
    deadline = time.monotonic() + 60
    cgroups = Path("/sys/fs/cgroup")
    while any(cgroups.glob(f"**/k8sdiag-{kubelet.node}/kubepods/besteffort/pod*")):
        assert time.monotonic() < deadline, "the pod's sandbox does not end"
        time.sleep(0.5)


def test_a_port_forward_brings_all_that_metrics_tell(node: Kubelet, api_server: ApiServer) -> None:
    with closing(Kubernetes.open(api_server.kubeconfig("forwards", [ADMINS]))) as reader:
        reader.forward_to_etcd = True
        fact = eventually(lambda: etcd_port_forward.collect(reader))
        with pytest.raises(Unavailable, match=r"the kubelet says: .*connection refused"):
            reader.forward("kube-system", f"etcd-{node.node}", 1, "/metrics", 5)
        with pytest.raises(Unavailable, match="HTTP status 404"):
            reader.forward("kube-system", f"etcd-{node.node}", 2381, "/nothing", 5)
    stranger = api_server.kubeconfig("forwards-nothing")
    with closing(Kubernetes.open(stranger)) as reader:
        start = time.monotonic()
        with pytest.raises(Unavailable, match='grant "create" on "pods/portforward"'):
            reader.forward("kube-system", f"etcd-{node.node}", 2381, "/metrics", 5)

    (member,) = fact.members
    assert time.monotonic() - start < 5
    assert (member.name, member.endpoint) == (f"etcd-{node.node}", "https://10.0.0.1:2379")
    assert member.version.startswith("3.6.")
    assert (member.quota_bytes, member.quota_source) == (QUOTA, "/metrics")
    assert 0 < member.in_use_bytes <= member.db_bytes < QUOTA
    assert member.alarms == ()
    assert fact.gaps == {}
    assert [f for f in judged(etcd=fact) if isinstance(f, Finding)] == []


def eventually(collect: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 90
    while True:
        try:
            return collect()
        except Unavailable as error:
            if time.monotonic() > deadline:
                with required():
                    raise MissingError(f"no sandbox of a pod runs here: {error}") from error
            time.sleep(1)
