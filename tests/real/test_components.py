"""Each real component starts, answers and ends."""

import json
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from urllib.request import urlopen

import pytest

from tests.real.apiserver import ADMINS, ApiServer, Refused
from tests.real.bed import StartError
from tests.real.etcd import EtcdCluster
from tests.real.pki import Authority

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

    with config.new_client_from_config(str(path)) as connection:  # type: ignore[no-untyped-call]
        reply = connection.rest_client.pool_manager.request("GET", f"{api_server.url}/api/v1/nodes")
    assert reply.status == status


def test_a_kubeconfig_with_the_wrong_authority(api_server: ApiServer) -> None:
    stranger = Authority(api_server.folder / "stranger")

    config = json.loads(api_server.kubeconfig("admin", [ADMINS], ca=stranger.ca).read_text())

    assert config["clusters"][0]["cluster"]["server"] == api_server.url
    context = ssl.create_default_context(cafile=str(stranger.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        HTTPSConnection("127.0.0.1", api_server.port, context=context, timeout=5).connect()
