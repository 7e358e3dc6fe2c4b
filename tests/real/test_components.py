"""Each real component starts, answers and ends."""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path
from urllib.request import urlopen

import dns.message
import dns.query
import pytest

from tests.real.apiserver import ADMINS, ApiServer, Refused
from tests.real.bed import StartError
from tests.real.components import MissingError
from tests.real.conftest import required
from tests.real.coredns import CoreDns
from tests.real.etcd import EtcdCluster
from tests.real.kubelet import Kubelet
from tests.real.netns import Namespace
from tests.real.pki import Authority
from tests.real.prometheus import Prometheus
from tests.real.record_kubelet import FOLDER, SETTINGS, configz, node

StartEtcd = Callable[..., EtcdCluster]


def get(url: str) -> str:
    with urlopen(url, timeout=5) as reply:  # noqa: S310  (an URL of the bed)
        body: bytes = reply.read()
        return body.decode()


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_etcd_serves_metrics_and_clients_with_a_certificate(
    start_etcd: StartEtcd, version: str
) -> None:
    etcd = start_etcd(version=version, quota_bytes=64 * 2**20)

    assert f'server_version="{version}.' in get(f"{etcd.metrics_urls[0]}/metrics")
    assert etcd.ca
    assert etcd.cert
    context = ssl.create_default_context(cafile=str(etcd.ca))
    context.load_cert_chain(etcd.cert, etcd.key)
    host, _, port = etcd.endpoints[0].removeprefix("https://").partition(":")
    connection = HTTPSConnection(host, int(port), context=context, timeout=5)
    connection.request("POST", "/v3/maintenance/status", "{}")
    status = json.load(connection.getresponse())
    connection.close()
    assert status["version"].startswith(version)


def test_etcd_without_tls_with_three_members_loses_one(start_etcd: StartEtcd) -> None:
    etcd = start_etcd(tls=False, members=3)
    assert len({member.pid for member in etcd.members}) == 3

    etcd.stop_member(1)

    assert '"health":"true"' in get(f"{etcd.metrics_urls[0]}/health")
    with pytest.raises(OSError, match="refused"):
        get(f"{etcd.metrics_urls[1]}/health")


def test_a_program_that_ends_at_once_says_why(start_etcd: StartEtcd) -> None:
    with pytest.raises(StartError, match=r"(?s)etcd-0 ended with code 1.*not a directory"):
        start_etcd(extra_args=["--data-dir", "/dev/null/data"])


def test_the_api_server_keeps_objects_and_their_status(api_server: ApiServer) -> None:
    admin = api_server.admin
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "smoke"}}

    node = admin.create("/api/v1/nodes", node)
    node["status"]["capacity"] = {"cpu": "4"}
    admin.put_status("/api/v1/nodes/smoke", node)

    assert admin.get("/api/v1/nodes/smoke")["status"]["capacity"] == {"cpu": "4"}
    admin.delete("/api/v1/nodes/smoke")
    with pytest.raises(Refused, match="404"):
        admin.get("/api/v1/nodes/smoke")


@pytest.mark.parametrize(
    ("user", "groups", "status"),
    [
        pytest.param("someone", [ADMINS], 200, id="an admin may list nodes"),
        pytest.param("someone", [], 403, id="a user without rights may not"),
    ],
)
def test_a_kubeconfig_for_a_user(
    api_server: ApiServer, user: str, groups: list[str], status: int
) -> None:
    from kubernetes import config

    path = api_server.kubeconfig(user, groups)

    with config.new_client_from_config(str(path)) as connection:
        reply = connection.rest_client.pool_manager.request("GET", f"{api_server.url}/api/v1/nodes")
    assert reply.status == status


def test_a_kubeconfig_with_the_wrong_authority(api_server: ApiServer) -> None:
    stranger = Authority(api_server.folder / "stranger")

    config = json.loads(api_server.kubeconfig("admin", [ADMINS], ca=stranger.ca).read_text())

    assert config["clusters"][0]["cluster"]["server"] == api_server.url
    context = ssl.create_default_context(cafile=str(stranger.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        HTTPSConnection("127.0.0.1", api_server.port, context=context, timeout=5).connect()


@pytest.mark.parametrize("file", SETTINGS)
def test_a_kubelet_still_says_what_is_recorded(
    api_server: ApiServer, start_kubelet: Callable[..., Kubelet], file: str
) -> None:
    running = start_kubelet(SETTINGS[file])

    assert configz(api_server, running) == json.loads((FOLDER / file).read_text())


@pytest.mark.parametrize(
    ("containerd", "version"), [("containerd", "1.6"), ("containerd-2", "2.3")]
)
def test_a_kubelet_registers_with_the_runtime_it_has(
    api_server: ApiServer, start_kubelet: Callable[..., Kubelet], containerd: str, version: str
) -> None:
    recorded = json.loads((FOLDER / "node.json").read_text())

    running = start_kubelet(containerd=containerd)

    info = node(api_server, running)["status"]["nodeInfo"]
    assert info["containerRuntimeVersion"].startswith(f"containerd://{version}.")
    assert info["kubeletVersion"] == recorded["status"]["nodeInfo"]["kubeletVersion"]
    assert info.keys() == recorded["status"]["nodeInfo"].keys()
    assert api_server.admin.raw("GET", f"{running.proxy_path}/metrics")[0] == 200


def test_coredns_answers_and_counts_it(start_coredns: Callable[..., CoreDns]) -> None:
    running = start_coredns()

    reply = dns.query.udp(dns.message.make_query("example.com", "A"), "127.0.0.1", 5, running.port)

    assert reply.answer[0][0].to_text() == "192.0.2.1"
    assert get(running.health_url) == "OK"
    assert "coredns_dns_requests_total{" in get(running.metrics_url)


def test_the_c_library_asks_a_coredns_in_a_namespace(
    start_coredns: Callable[..., CoreDns], make_netns: Callable[..., Namespace], tmp_path: Path
) -> None:
    namespace = make_netns()
    start_coredns(port=53, namespace=namespace)
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")

    mount = f"mount --bind {resolv_conf} /etc/resolv.conf && getent hosts example.com"
    said = namespace.run("unshare", "--mount", "sh", "-c", mount)

    assert said.split()[0] == "192.0.2.1"


def test_prometheus_takes_a_configuration_and_answers(
    start_prometheus: Callable[..., Prometheus],
) -> None:
    running = start_prometheus("global: {external_labels: {cluster: smoke}}")

    loaded = json.loads(get(f"{running.url}/api/v1/status/config"))["data"]["yaml"]
    assert "cluster: smoke" in loaded
    assert json.loads(get(f"{running.url}/api/v1/query?query=vector(1)"))["status"] == "success"


def test_promtool_finds_a_mistake(promtool: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{record: a, expr: 'sum('}]}]")

    said = subprocess.run([promtool, "check", "rules", rules], capture_output=True, check=False)

    assert said.returncode == 1
    assert b"parse error" in said.stderr


def test_a_namespace_is_ours_alone(make_netns: Callable[..., Namespace]) -> None:
    assert make_netns().run("ip", "-brief", "link").split()[0] == "lo"


def test_a_cable_joins_two_namespaces_to_this_host(make_netns: Callable[..., Namespace]) -> None:
    first, second = make_netns(cable=True), make_netns(cable=True)

    assert len({first.address, first.host_address, second.address, second.host_address}) == 4
    with socket.create_server((first.host_address, 0)) as server:
        port = str(server.getsockname()[1])
        connect = "import socket, sys; socket.create_connection(sys.argv[1:], 5)"
        first.run(sys.executable, "-c", connect, first.host_address, port)
        connection, peer = server.accept()
        connection.close()
        assert peer[0] == first.address


@pytest.mark.parametrize("require", [True, False])
def test_what_is_missing_skips_or_fails(monkeypatch: pytest.MonkeyPatch, require: bool) -> None:
    monkeypatch.setenv("K8SDIAG_REQUIRE_REAL", "1" if require else "0")
    expected: type[BaseException] = pytest.fail.Exception if require else pytest.skip.Exception

    with (
        pytest.raises(expected, match="kubelet is not there: run `make control-plane`"),
        required(),
    ):
        raise MissingError("kubelet is not there: run `make control-plane`")
