"""The exporter's server with a web configuration: TLS, client certificates, passwords, headers."""

import base64
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest
from prometheus_client.metrics_core import Metric as Family

from k8sdiag.families import gauge
from k8sdiag.web.config import WebFile
from k8sdiag.web.server import Exporter, Server
from tests.real.pki import Authority, Pair
from tests.webfiles import certificates

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MTLS = TLS + "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
SECRET = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{joe: {SECRET}}}\n"
Start = Callable[[str], Server]


def scrape(_seconds: float) -> Iterable[Family]:
    yield gauge("up", "Always 1.", [({}, 1)])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return certificates(tmp_path)


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Iterator[Start]:
    servers = []

    def begin(config: str) -> Server:
        (tmp_path / "web.yml").write_text(config)
        web = WebFile(tmp_path / "web.yml")
        server = Server("127.0.0.1:0", Exporter(scrape, web=web))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield begin
    for server in servers:
        server.close()


def trusting(ca: Path, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def ask(
    server: Server, tls: ssl.SSLContext | None, path: str = "/metrics", login: str = ""
) -> tuple[int, dict[str, str], bytes]:
    if tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", server.server_port, timeout=10, context=tls
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    encoded = base64.b64encode(login.encode()).decode()
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {encoded}"})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def test_metrics_over_tls(start: Start, authority: Authority) -> None:
    server = start(TLS)

    status, _, body = ask(server, trusting(authority.ca))

    assert (status, b"k8sdiag_up 1.0" in body) == (200, True)
    assert server.url == f"https://127.0.0.1:{server.server_port}"


def test_nothing_in_clear_where_tls_is_on(start: Start) -> None:
    server = start(TLS)

    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server, None)


def test_nothing_older_than_tls_1_2_and_the_minimum_is_kept(
    start: Start, authority: Authority
) -> None:
    server = start(TLS + "  min_version: TLS13\n")
    old = trusting(authority.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        ask(server, old)
    assert ask(server, trusting(authority.ca))[0] == 200


def test_the_named_cipher_suites_alone(start: Start, authority: Authority) -> None:
    server = start(TLS + "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n")
    client = trusting(authority.ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    with (
        socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        used = secured.cipher()
    assert used
    assert used[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_a_client_certificate_of_the_right_authority_only(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    server = start(MTLS)
    stranger = Authority(tmp_path / "stranger").issue("prometheus")

    assert ask(server, trusting(authority.ca, authority.issue("prometheus")))[0] == 200
    for pair in (None, stranger):
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            ask(server, trusting(authority.ca, pair))


def test_a_certificate_if_given_is_verified(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    server = start(MTLS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    stranger = Authority(tmp_path / "stranger").issue("prometheus")

    assert ask(server, trusting(authority.ca))[0] == 200
    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        ask(server, trusting(authority.ca, stranger))


def test_twenty_idle_tls_connections_delay_nobody(start: Start, authority: Authority) -> None:
    server = start(TLS)
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(20)]
    try:
        begin = time.monotonic()
        assert ask(server, trusting(authority.ca))[0] == 200
        assert time.monotonic() - begin < 2  # one handshake in the accept loop would take 10 s
    finally:
        for each in idle:
            each.close()


def test_ten_scrapes_at_once_over_tls_with_a_login(start: Start, authority: Authority) -> None:
    server, tls = start(TLS + USERS), trusting(authority.ca)

    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: ask(server, tls, login="joe:secret"), range(10)))

    assert {(status, b"k8sdiag_up 1.0" in body) for status, _, body in replies} == {(200, True)}


@pytest.mark.parametrize("login", ["", "joe:wrong", "eve:secret"])
def test_without_a_login_only_the_probes(start: Start, login: str) -> None:
    server = start(USERS)

    status, headers, body = ask(server, None, login=login)

    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="k8sdiag"')
    assert b"k8sdiag_up" not in body
    assert ask(server, None, "/", login=login)[0] == 401
    assert [ask(server, None, f"/-/{p}", login=login)[0] for p in ("healthy", "ready")] == [200] * 2


def test_a_login_gets_in_and_is_shut_out_once_it_is_taken_away(
    start: Start, tmp_path: Path
) -> None:
    server = start(USERS)
    assert ask(server, None, login="joe:secret")[0] == 200

    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: {SECRET}}}\n")

    assert ask(server, None, login="joe:secret")[0] == 401
    assert ask(server, None, login="ann:secret")[0] == 200


def test_a_new_certificate_counts_from_the_next_connection_on(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    server = start(TLS)
    assert ask(server, trusting(authority.ca))[0] == 200

    new = certificates(tmp_path / "new")
    for name in ("server.crt", "server.key"):
        (tmp_path / "new" / name).replace(tmp_path / name)

    assert ask(server, trusting(new.ca))[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(server, trusting(authority.ca))


def test_the_headers_that_are_configured_come_with_every_answer(start: Start) -> None:
    server = start("http_server_config: {headers: {X-Frame-Options: deny}}\n" + USERS)

    for path, login in (("/metrics", "joe:secret"), ("/metrics", ""), ("/none", "joe:secret")):
        assert ask(server, None, path, login)[1]["x-frame-options"] == "deny"
