"""Metrics over HTTP, as exporters serve them: a landing page, the metrics and two probes.

The client library brings the formats. Its own server answers every path with metrics and lets
one idle connection hold up the rest once TLS is on, so this one is ours.
"""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from k8sdiag.config import ConfigError
from k8sdiag.version import VERSION

log = logging.getLogger(__name__)

MAX_REQUESTS = 40  # at once; the same as node_exporter's --web.max-requests
IDLE_SECONDS = 60.0  # a connection may wait so long for its next request
DRAIN_SECONDS = 5.0  # scrapes that run when the process is told to end may finish

Scrape = Callable[[], Iterable[Family]]

_LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>k8sdiag</title></head><body>
<h1>k8sdiag</h1><p>Version {version}</p>
<ul><li><a href="{path}">Metrics</a></li><li><a href="/-/healthy">Healthy</a></li>
<li><a href="/-/ready">Ready</a></li></ul></body></html>
"""


def serve(scrape: Scrape, listen: Iterable[str], telemetry_path: str = "/metrics") -> None:
    """Serve until SIGTERM or SIGINT. `scrape` is called for each request, from many threads.

    Raises ConfigError when an address can't be listened on.
    """
    if not telemetry_path.startswith("/") or telemetry_path in ("/", "/-/healthy", "/-/ready"):
        raise ConfigError(f"--web.telemetry-path {telemetry_path}: give a path such as /metrics")
    told = threading.Event()
    servers: list[Server] = []
    try:
        for address in listen:
            servers.append(Server(address, scrape, telemetry_path))  # noqa: PERF401 - see finally
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            click.echo(f"k8sdiag: listening on {server.url}", err=True)
        told.wait()
    finally:
        for server in servers:
            server.close()


class Server(ThreadingHTTPServer):
    """One listening address, "[HOST]:PORT"; without a host all of this machine's."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, scrape: Scrape, telemetry_path: str) -> None:
        self.scrape = scrape
        self.telemetry_path = telemetry_path
        self.slots = threading.Semaphore(MAX_REQUESTS)
        self._serving = False
        host, port = _split(address)
        try:
            if host:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
                self.address_family, where = found[0], found[4]
            else:
                both = socket.has_dualstack_ipv6()
                self.address_family = socket.AF_INET6 if both else socket.AF_INET
                where = ("::" if both else "0.0.0.0", port)  # noqa: S104 - exporters are scraped
            super().__init__(where[:2], Handler)  # type: ignore[arg-type]
        except OSError as error:
            raise ConfigError(
                f"--web.listen-address {address}: cannot listen there: {error.strerror or error}"
            ) from error

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's own: it asks the DNS for this machine's name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    @property
    def url(self) -> str:
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}"

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        self._serving = True
        super().serve_forever(poll_interval)

    def close(self) -> None:
        """Take no more requests and let those that run finish."""
        if self._serving:
            self.shutdown()
        self.server_close()
        deadline = time.monotonic() + DRAIN_SECONDS
        for _ in range(MAX_REQUESTS):
            if not self.slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
                log.warning("ended while requests were still being answered")
                return

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """A client that hangs up is no news."""
        log.debug("connection of %s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Header and body in one packet and no waiting for an acknowledgement: else 44 ms a scrape.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self.server.slots.acquire(blocking=False):
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once\n")
            return
        try:
            if path == self.server.telemetry_path:
                self._metrics()
            elif path == "/":
                page = _LANDING.format(version=VERSION, path=self.server.telemetry_path)
                self._reply(HTTPStatus.OK, page, "text/html; charset=utf-8")
            elif path in ("/-/healthy", "/-/ready"):
                self._reply(HTTPStatus.OK, "ok\n")
            else:
                self._reply(HTTPStatus.NOT_FOUND, "there is / and what it links to\n")
            self.wfile.flush()
        finally:
            self.server.slots.release()

    def version_string(self) -> str:
        return f"k8sdiag/{VERSION}"

    do_HEAD = do_GET  # noqa: N815 - the standard library's names

    def _metrics(self) -> None:
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            body = encode(_Once(self.server.scrape))
        except Exception as error:
            log.debug("", exc_info=True)
            log.error("a scrape failed, a bug of k8sdiag: %r", error)  # noqa: TRY400 - one line
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, "the scrape failed: see the log\n")
            return
        self._reply(HTTPStatus.OK, body, content_type)

    def _reply(
        self, status: HTTPStatus, body: str | bytes, content_type: str = "text/plain; charset=utf-8"
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        log.debug("%s " + format, self.client_address[0], *args)


class _Once(Collector):
    """One scrape: nothing is kept between two, so none sees half of another."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterable[Family]:
        return self._scrape()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if ":" not in address or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--web.listen-address {address}: give [HOST]:PORT, for example :10057")
    return host, int(port)
