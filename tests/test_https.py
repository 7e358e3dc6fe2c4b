"""The connection: certificates, names, proxies, and one line for each way it can fail."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from k8sdiag.model import ConfigError, Unavailable
from k8sdiag.readers import https
from k8sdiag.readers.kubernetes import Kubernetes
from tests.real.bed import free_ports
from tests.real.pki import Authority, Pair
from tests.scripted_api import ScriptedApi, kubeconfig, scripted


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def serving(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    if clients:
        tls.load_verify_locations(clients)
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


@pytest.fixture
def server(authority: Authority) -> Iterator[ScriptedApi]:
    with scripted(serving(authority.issue("server"))) as server:
        yield server


def version(path: Path) -> str:
    door = Kubernetes.open(path)
    door.close()
    return door.server


def test_a_good_certificate(server: ScriptedApi, authority: Authority, tmp_path: Path) -> None:
    cluster = {"certificate-authority": str(authority.ca)}

    assert version(kubeconfig(tmp_path / "c", server.url, cluster=cluster)) == "v1.33.2"


def test_a_client_certificate(authority: Authority, tmp_path: Path) -> None:
    client = authority.issue("client", hosts=())
    user = {"client-certificate": str(client.cert), "client-key": str(client.key)}
    cluster = {"certificate-authority": str(authority.ca)}
    with scripted(serving(authority.issue("server"), clients=authority.ca)) as server:
        path = kubeconfig(tmp_path / "c", server.url, cluster=cluster, user=user)
        assert version(path) == "v1.33.2"

        with pytest.raises(Unavailable, match="cut the connection"):
            version(kubeconfig(tmp_path / "d", server.url, cluster=cluster))


def test_insecure_as_the_kubeconfig_says(server: ScriptedApi, tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True}

    assert version(kubeconfig(tmp_path / "c", server.url, cluster=cluster)) == "v1.33.2"


def test_another_server_name(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("behind-a-tunnel", hosts=["api.example.com"])
    cluster = {"certificate-authority": str(authority.ca), "tls-server-name": "api.example.com"}
    with scripted(serving(pair)) as server:
        path = kubeconfig(tmp_path / "c", server.url, cluster=cluster)
        assert version(path) == "v1.33.2"

        cluster.pop("tls-server-name")
        with pytest.raises(Unavailable, match=r"is for another name .* set tls-server-name"):
            version(kubeconfig(tmp_path / "d", server.url, cluster=cluster))


def test_another_ca(server: ScriptedApi, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    cluster = {"certificate-authority": str(other.ca)}

    with pytest.raises(Unavailable, match="is not signed by the CA of the kubeconfig"):
        version(kubeconfig(tmp_path / "c", server.url, cluster=cluster))


def test_an_expired_certificate(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("late", lifetime=timedelta(days=-1))
    cluster = {"certificate-authority": str(authority.ca)}
    with (
        scripted(serving(pair)) as server,
        pytest.raises(Unavailable, match="its certificate has expired"),
    ):
        version(kubeconfig(tmp_path / "c", server.url, cluster=cluster))


def test_a_ca_older_than_the_strictness_of_python_3_13(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificates name no key of the issuer, as those of many long-lived clusters."""
    lax = ssl.create_default_context

    def strict(*, cafile: str | None = None) -> ssl.SSLContext:
        context = lax(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # what it does from 3.13 on
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    ca, pair = plain_certificates(tmp_path)
    with scripted(serving(pair)) as server:
        with (
            socket.create_connection(("127.0.0.1", server.server_port)) as connection,
            pytest.raises(ssl.SSLCertVerificationError, match="Authority Key Identifier"),
        ):
            strict(cafile=str(ca)).wrap_socket(connection, server_hostname="127.0.0.1")

        cluster = {"certificate-authority": str(ca)}
        assert version(kubeconfig(tmp_path / "c", server.url, cluster=cluster)) == "v1.33.2"


def plain_certificates(folder: Path) -> tuple[Path, Pair]:
    """A CA and a server's certificate with nothing in them but what a handshake needs."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("ca", "server")]
    files = [folder / "plain-ca.crt", folder / "plain-server.crt"]
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    extensions = [x509.BasicConstraints(ca=True, path_length=None), address]
    for name, key, extension, file in zip(names, keys, extensions, files, strict=True):
        certificate = (
            x509.CertificateBuilder(names[0], name, key.public_key(), serial_number=1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(keys[0], hashes.SHA256())
        )
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "plain.key").write_bytes(private)
    return files[0], Pair(files[1], folder / "plain.key")


def test_a_ca_file_that_holds_none(server: ScriptedApi, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")
    cluster = {"certificate-authority": str(tmp_path / "ca")}

    with pytest.raises(Unavailable, match="the certificates of the kubeconfig can't be used"):
        version(kubeconfig(tmp_path / "c", server.url, cluster=cluster))


def test_no_tls_at_the_other_end(tmp_path: Path) -> None:
    with scripted() as server, pytest.raises(Unavailable, match="no TLS there"):
        version(kubeconfig(tmp_path / "c", server.url.replace("http:", "https:")))


def test_nobody_listens(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    with pytest.raises(Unavailable, match=rf"^the API server 127.0.0.1:{port}: .*refused"):
        version(kubeconfig(tmp_path / "c", f"https://127.0.0.1:{port}"))


def test_somebody_listens_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "CONNECT_SECONDS", 0.2)
    with (
        ThreadingTCPServer(("127.0.0.1", 0), StreamRequestHandler) as deaf,
        pytest.raises(Unavailable, match=r"no connection within 0\.2s"),
    ):
        version(kubeconfig(tmp_path / "c", f"https://127.0.0.1:{deaf.server_address[1]}"))


def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="its name does not resolve"):
        version(kubeconfig(tmp_path / "c", "https://no-such-host.invalid"))


@pytest.mark.parametrize("url", ["127.0.0.1:6443", "ftp://a", "https://:6443", "https://a:port"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=rf'^context "lab" of .*: server {url}: '):
        version(kubeconfig(tmp_path / "c", url))


class Proxy(ThreadingTCPServer):
    """A proxy that knows CONNECT and notes what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[str] = []


class _Tunnel(StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        self.server.asked.append("\n".join(lines))
        host, _, port = lines[0].split()[1].rpartition(":")
        if host == "refuse.invalid":
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(far, self.connection))
            back.start()
            _copy(self.connection, far)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def test_a_proxy_of_the_kubeconfig(
    server: ScriptedApi, authority: Authority, proxy: Proxy, tmp_path: Path
) -> None:
    port = proxy.server_address[1]
    cluster = {
        "certificate-authority": str(authority.ca),
        "proxy-url": f"http://me:pass%20word@127.0.0.1:{port}",
    }

    assert version(kubeconfig(tmp_path / "c", server.url, cluster=cluster)) == "v1.33.2"
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT 127.0.0.1:{server.server_port} HTTP/1.")
    assert "Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk" in asked  # me:pass word


@pytest.mark.parametrize(("exempt", "used"), [("", True), ("10.0.0.0/8,127.0.0.1", False)])
def test_a_proxy_of_the_environment(
    server: ScriptedApi,
    authority: Authority,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exempt: str,
    used: bool,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.setenv("NO_PROXY", exempt)
    cluster = {"certificate-authority": str(authority.ca)}

    assert version(kubeconfig(tmp_path / "c", server.url, cluster=cluster)) == "v1.33.2"
    assert bool(proxy.asked) is used


def test_a_proxy_that_refuses(proxy: Proxy, tmp_path: Path) -> None:
    cluster = {"proxy-url": f"http://me:secret@127.0.0.1:{proxy.server_address[1]}"}

    with pytest.raises(Unavailable, match=r"through the proxy 127.0.0.1:\d+: .*407") as caught:
        version(kubeconfig(tmp_path / "c", "https://refuse.invalid", cluster=cluster))
    assert "secret" not in str(caught.value)


def test_a_proxy_of_another_kind(tmp_path: Path) -> None:
    cluster = {"proxy-url": "socks5://127.0.0.1:1"}

    with pytest.raises(Unavailable, match="a proxy of the kind socks5:// is not supported"):
        version(kubeconfig(tmp_path / "c", "https://127.0.0.1:1", cluster=cluster))
