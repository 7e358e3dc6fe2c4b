"""What real programs log when etcd is full, by the table and through a real API server."""

import http.server
import json
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest

from k8sdiag.checks.control_plane_logs import ControlPlaneLogLimits, check
from k8sdiag.failuretexts import API_SERVER, ETCD, matches
from k8sdiag.model import Finding, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources.control_plane_logs import LINES, collect
from tests.real import apiserver
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.etcd import EtcdCluster
from tests.real.etcd_writes import fill_up

PODS = "/api/v1/namespaces/kube-system/pods"


def told(component: str, log: Path) -> dict[str, int]:
    now = datetime.now(UTC)
    lines = ((now, line) for line in log.read_text().splitlines())
    return {m.name: m.lines for m in matches(component, lines)}


def ask_health(cluster: EtcdCluster) -> None:
    """As a kubelet's probe: from 3.6 on etcd logs its alarm only when it is asked for."""
    for url in cluster.metrics_urls:
        with suppress(HTTPError), urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310
            pass


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_the_logs_of_a_full_etcd(start_etcd: Callable[..., EtcdCluster], version: str) -> None:
    cluster = start_etcd(version=version, tls=False, quota_bytes=16 << 20)
    log = cluster.members[0].process.log
    assert "nospace" not in told(ETCD, log)

    fill_up(cluster)
    ask_health(cluster)

    assert told(ETCD, log)["nospace"] >= 1
    assert set(told(ETCD, log)) <= {"nospace", "no-leader", "slow-apply", "slow-disk"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server on a small etcd, and the pods of its control plane."""
    folder = tmp_path_factory.mktemp("full")
    with (
        required(),
        apiserver.started(folder, quota_bytes=16 << 20) as server,
        kubelet(server) as port,
    ):
        _show(server, port)
        yield server


@contextmanager
def kubelet(server: ApiServer) -> Iterator[int]:
    """What a kubelet does for a log: the last lines of a file, each with its time before it.

    A real one needs containers for that.
    """
    keys = server.authority.issue("kubelet")
    files = {
        "etcd-a": server.etcd.members[0].process.log,
        "kube-apiserver-a": server.log,
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            _, _, _, pod, _ = url.path.split("/")
            assert query["timestamps"] == "true"
            lines = files[pod].read_text().splitlines()[-int(query["tailLines"]) :]
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000001Z")
            body = "".join(f"{stamp} {line}\n" for line in lines).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(body[: int(query["limitBytes"])])

        def log_message(self, *_: object) -> None:
            pass

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(keys.cert, keys.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield listener.server_port
        finally:
            listener.shutdown()
            thread.join()


def _show(server: ApiServer, port: int) -> None:
    """A node and the mirror pods of a control plane on it."""
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    node = {
        "metadata": {"name": "a"},
        "status": {
            "addresses": addresses,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    }
    server.admin.create("/api/v1/nodes", node)
    # It makes this namespace by itself, some time after its start.
    server.admin.raw("POST", "/api/v1/namespaces", {"metadata": {"name": "kube-system"}})
    for component in ("etcd", "kube-apiserver"):
        pod = {
            "metadata": {"name": f"{component}-a", "labels": {"component": component}},
            "spec": {"nodeName": "a", "containers": [{"name": component, "image": "x"}]},
        }
        server.admin.create(PODS, pod)


def test_through_the_api_of_a_real_server(full: ApiServer) -> None:
    user = full.kubeconfig("reader", [ADMINS])
    with closing(Kubernetes.open(user)) as reader:
        before = collect(reader)
    assert all(m.name != "nospace" for log in before.logs for m in log.matches)

    full_etcd(full)
    with closing(Kubernetes.open(user)) as reader:
        fact = collect(reader)
    said = check(fact, ControlPlaneLogLimits())
    found = {f.code: f for f in said if isinstance(f, Finding)}

    assert [(log.pod, log.component) for log in fact.logs] == [
        ("kube-system/etcd-a", ETCD),
        ("kube-system/kube-apiserver-a", API_SERVER),
    ]
    assert fact.gaps == {}
    assert all(0 < log.lines <= LINES for log in fact.logs)
    assert "kube-system/kube-apiserver-a" in found["database-space-exceeded"].message


def full_etcd(server: ApiServer) -> None:
    fill_up(server.etcd)
    for number in range(3):
        status, reply = server.admin.raw(
            "POST",
            "/api/v1/namespaces/default/configmaps",
            {"metadata": {"name": f"c{number}"}},
        )
        assert status == 500, reply
        assert "database space exceeded" in json.loads(reply)["message"]


def test_without_the_right_to_logs(full: ApiServer) -> None:
    with (
        closing(Kubernetes.open(full.kubeconfig("nobody"))) as reader,
        pytest.raises(Unavailable, match='grant "list" on "pods" in kube-system'),
    ):
        collect(reader)
