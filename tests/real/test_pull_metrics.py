"""A real kubelet's metrics of a pull, scraped by a real Prometheus."""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import pull_times_prometheus
from tests.real import prometheus, registry
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import program, running
from tests.real.conftest import required
from tests.real.kubelet import Kubelet
from tests.real.test_etcd_port_forward import (
    CONTAINERD,
    MANIFEST,
    MIRROR,
    PORT,
    eventually,
    without_pods,
)

MIB = 1 << 20
LARGE = f"127.0.0.1:{PORT}/large:1"  # the sandbox' image is none of the kubelet's pulls
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "large", "namespace": "kube-system"},
    "spec": {"hostNetwork": True, "containers": [{"name": "large", "image": LARGE}]},
}


def test_pulls_by_size_and_time(
    start_kubelet: Callable[..., Kubelet],
    start_prometheus: Callable[..., prometheus.Prometheus],
    api_server: ApiServer,
    tmp_path: Path,
) -> None:
    with required():
        waits = program("coredns")
    (tmp_path / "data").write_bytes(bytes(120 * MIB))
    files = {"program": waits, "data": tmp_path / "data"}
    registry.lay_out_layers(tmp_path / "image", files, ["/program", "-dns.port=10053"])
    kubelet = start_kubelet(
        {"staticPodPath": str(Path(MANIFEST).parent)},
        files={
            MANIFEST: json.dumps(POD),
            "/etc/containerd/config.toml": CONTAINERD,
            f"/etc/containerd/certs.d/127.0.0.1:{PORT}/hosts.toml": MIRROR,
        },
    )
    serve = [sys.executable, registry.__file__, tmp_path / "image", str(PORT)]
    with ExitStack() as stack:
        command = kubelet.namespace.command(*map(str, serve))
        stack.enter_context(running("registry", command, tmp_path))
        stack.callback(without_pods, kubelet)
        door = Prometheus.open(start_prometheus(scraping(kubelet, api_server)).url)

        fact = eventually(lambda: pull_times_prometheus.collect(door))

    (found,) = fact.classes
    assert (found.least_bytes, found.most_bytes) == (100 * MIB, 500 * MIB)
    assert [le for le, _ in found.seconds][:4] == [1, 5, 10, 20]
    assert found.seconds[-1][1] == 1
    assert 0 < fact.pulling_share <= 1


def scraping(kubelet: Kubelet, api: ApiServer) -> str:
    """Through the API server, which the kubelet trusts."""
    pair = api.authority.issue("scrapes", organizations=[ADMINS], hosts=())
    job = {
        "job_name": "kubelet",
        "scheme": "https",
        "metrics_path": f"{kubelet.proxy_path}/metrics",
        "static_configs": [{"targets": [f"127.0.0.1:{api.port}"]}],
        "tls_config": {
            "ca_file": str(api.ca),
            "cert_file": str(pair.cert),
            "key_file": str(pair.key),
        },
    }
    return json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
