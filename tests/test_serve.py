"""The exporter's HTTP server, asked over loopback; and the whole process once."""

import http.client
import itertools
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from k8sdiag import plugins
from k8sdiag import scrape as scraping
from k8sdiag.config import ConfigError
from k8sdiag.families import gauge
from k8sdiag.readers.host import Host
from k8sdiag.web.server import Exporter, Scrape, Server

RECORDED = Path(__file__).parent / "testdata" / "neighbor"
Reply = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Reply]


def scrape(_seconds: float) -> Iterable[Family]:
    yield gauge("up", "Always 1.", [({}, 1)])


@pytest.fixture
def start() -> Iterator[Callable[[Scrape], Server]]:
    servers = []

    def begin(scrape: Scrape) -> Server:
        server = Server("127.0.0.1:0", Exporter(scrape))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield begin
    for server in servers:
        server.close()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "status", "content_type", "words"),
    [
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", b"k8sdiag_up 1.0"),
        ("/metrics?x=1", 200, "text/plain; version=0.0.4; charset=utf-8", b"k8sdiag_up 1.0"),
        ("/", 200, "text/html; charset=utf-8", b'<a href="/metrics">'),
        ("/-/healthy", 200, "text/plain; charset=utf-8", b"ok"),
        ("/-/ready", 200, "text/plain; charset=utf-8", b"ok"),
        ("/metrics/x", 404, "text/plain; charset=utf-8", b"there is /"),
    ],
)
def test_what_lies_where(
    start: Callable[[Scrape], Server], path: str, status: int, content_type: str, words: bytes
) -> None:
    server = start(scrape)

    code, headers, body = ask(server, path)
    assert (code, headers["content-type"]) == (status, content_type)
    assert words in body

    code, head, nothing = ask(server, path, "HEAD")
    assert (code, nothing) == (status, b"")
    assert head["content-length"] == str(len(body))


def test_the_probes_cost_no_scrape(start: Callable[[Scrape], Server]) -> None:
    def broken(_seconds: float) -> Iterable[Family]:
        raise AssertionError("a probe must not look at the host")

    server = start(broken)

    assert [ask(server, path)[0] for path in ("/", "/-/healthy", "/-/ready")] == [200, 200, 200]


def test_openmetrics_for_who_asks_for_it(start: Callable[[Scrape], Server]) -> None:
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

    _, headers, body = ask(start(scrape), "/metrics", Accept=wanted)

    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_one_connection_serves_many_scrapes(start: Callable[[Scrape], Server]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", start(scrape).server_port, timeout=10)
    try:
        for _ in range(3):
            connection.request("GET", "/metrics")
            reply = connection.getresponse()
            assert (reply.version, reply.status) == (11, 200)
            assert b"\nk8sdiag_up 1.0\n" in reply.read()
    finally:
        connection.close()


def test_idle_connections_delay_nobody(start: Callable[[Scrape], Server]) -> None:
    server = start(scrape)
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(50)]
    try:
        assert ask(server, "/metrics")[0] == 200
    finally:
        for each in idle:
            each.close()


def test_scrapes_side_by_side_do_not_mix(start: Callable[[Scrape], Server]) -> None:
    numbers = itertools.count(1)
    together = threading.Barrier(10, timeout=10)

    def numbered(_seconds: float) -> Iterable[Family]:
        number = next(numbers)
        yield gauge("first", "The number of the scrape.", [({}, number)])
        together.wait()
        yield gauge("second", "The number of the scrape.", [({}, number)])

    server = start(numbered)
    with ThreadPoolExecutor(10) as pool:
        bodies = pool.map(lambda _: ask(server, "/metrics")[2].decode(), range(10))

    seen = [[f.samples[0].value for f in text_string_to_metric_families(b)] for b in bodies]
    assert sorted(first for first, _ in seen) == list(range(1, 11))
    assert all(first == second for first, second in seen)


def test_a_bug_in_a_scrape_is_an_error_and_not_the_end(start: Callable[[Scrape], Server]) -> None:
    def broken(_seconds: float) -> Iterable[Family]:
        yield gauge("up", "Always 1.", [({}, 1)])
        raise ValueError("secret")

    server = start(broken)

    for _ in range(2):
        code, _, body = ask(server, "/metrics")
        assert (code, body) == (500, b"the scrape failed: see the log\n")


def test_too_many_at_once_are_told_so(start: Callable[[Scrape], Server]) -> None:
    server = start(scrape)
    slots, server.slots = server.slots, threading.Semaphore(0)

    code, _, body = ask(server, "/metrics")
    server.slots = slots

    assert (code, body) == (503, b"too many requests at once\n")
    assert ask(server, "/metrics")[0] == 200


@pytest.mark.parametrize("address", ["", "9100", "localhost", ":x", ":65536", "::1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=r"listen-address .*(give \[HOST\]:PORT|cannot listen)"):
        Server(address, Exporter(scrape))


def test_an_address_in_use_is_said(start: Callable[[Scrape], Server]) -> None:
    port = start(scrape).server_port

    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen there"):
        Server(f"127.0.0.1:{port}", Exporter(scrape))


def test_without_a_host_it_listens_on_all_addresses() -> None:
    server = Server(":0", Exporter(scrape))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        assert ask(server, "/-/ready")[0] == 200  # by IPv4
        if socket.has_dualstack_ipv6():
            with socket.create_connection(("::1", server.server_port), timeout=5):
                assert "[::]" in server.url
    finally:
        server.close()


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("30", 29.5), ("1.5", 1.0), ("0.2", 0.1), ("soon", 9.5), ("nan", 9.5), ("-1", 9.5), ("", 9.5)],
)
def test_the_scraper_s_patience_is_what_a_scrape_may_take(
    start: Callable[[Scrape], Server], told: str, seconds: float
) -> None:
    given = []

    def patient(seconds: float) -> Iterable[Family]:
        given.append(seconds)
        return []

    ask(start(patient), "/metrics", **{"X-Prometheus-Scrape-Timeout-Seconds": told})

    assert given == [pytest.approx(seconds)]


def series(families: Iterable[Family]) -> dict[tuple[str, str], float]:
    """Samples by name and their first label's value."""
    samples = (s for family in families for s in family.samples)
    return {(s.name, next(iter(s.labels.values()), "")): s.value for s in samples}


def node_exporter(procfs: Path) -> Scrape:
    checks = {i: c for i, c in plugins.checks().items() if i == "neighbor-table"}
    return scraping.node(checks.values(), Host(procfs=procfs, look_seconds=0))


def test_the_node_exporter_tells_of_the_table() -> None:
    found = series(node_exporter(RECORDED / "near" / "proc")(5))

    assert found["k8sdiag_neighbor_entries", "ipv4"] == 961
    assert found["k8sdiag_neighbor_table_fulls_total", "ipv4"] == 1927
    assert found["k8sdiag_check_success", "neighbor-table"] == 1
    assert found["k8sdiag_scrape_collector_success", "neighbor_tables"] == 1
    assert len(found) < 120


def test_what_the_exporter_cannot_see_is_no_zero(tmp_path: Path) -> None:
    found = series(node_exporter(tmp_path)(5))

    assert not [name for name, _ in found if "neighbor" in name]
    assert found["k8sdiag_check_success", "neighbor-table"] == 0
    assert found["k8sdiag_scrape_collector_success", "neighbor_tables"] == 0


def test_the_process_stays_small_and_ends_when_told() -> None:
    script = """
        import os, signal, socket, sys, threading, time
        from k8sdiag.cli import cli

        def look():
            for _ in range(100):
                time.sleep(0.05)
                try:
                    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                except OSError:
                    continue
                with connection, connection.makefile("rb") as reply:
                    connection.sendall(b"GET /metrics HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n")
                    page = reply.read()
                print(page.count(b"k8sdiag_check_success"))
                heavy = {"kubernetes", "grpc", "rich", "yaml", "google", "tabulate", "asyncio"}
                loaded = {name.partition(".")[0] for name in sys.modules}
                print(sorted((heavy | {"_ssl", "_hashlib"}) & loaded))
                break
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=look).start()
        options = ["--web.listen-address", f"127.0.0.1:{sys.argv[1]}", "--path.procfs", sys.argv[2]]
        code = cli(["serve", "node", *options], standalone_mode=False)
        print("ended with", code)
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A tree, not this host: a kubelet that runs here would have its YAML read.
    tree = RECORDED / "near" / "proc"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(port), tree],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    checks, heavy, end = done.stdout.splitlines()
    assert int(checks) > 2  # HELP, TYPE and a series at least
    assert heavy == "[]"
    assert end == "ended with 0"
    assert done.stderr == f"k8sdiag: listening on http://127.0.0.1:{port}\n"
