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
from http.server import ThreadingHTTPServer
from pathlib import Path

import click
from msgspec import Struct

from k8sdiag.exposition import Family
from k8sdiag.model import ConfigError
from k8sdiag.web.auth import Gate
from k8sdiag.web.config import Web, WebFile
from k8sdiag.web.handler import PROBES, Handler

log = logging.getLogger(__name__)

MAX_REQUESTS = 40  # at once; the same as node_exporter's --web.max-requests
DRAIN_SECONDS = 5.0  # scrapes that run when the process is told to end may finish

# Gives what it has within so many seconds.
Scrape = Callable[[float], Iterable[Family]]


class Exporter(Struct, frozen=True):
    """What is served, and how."""

    scrape: Scrape
    telemetry_path: str = "/metrics"
    web: WebFile | None = None
    ready: Callable[[], bool] = lambda: True


def exporter(
    scrape: Scrape,
    telemetry_path: str = "/metrics",
    web_config: Path | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> Exporter:
    """Raises ConfigError where path or web configuration can't be used."""
    if not telemetry_path.startswith("/") or telemetry_path in ("/", *PROBES):
        raise ConfigError(f"--web.telemetry-path {telemetry_path}: give a path such as /metrics")
    return Exporter(scrape, telemetry_path, WebFile(web_config) if web_config else None, ready)


def serve(exporter: Exporter, listen: Iterable[str], told: threading.Event) -> None:
    """Serve until `told` to end, by SIGTERM or SIGINT too.

    Raises ConfigError when an address can't be listened on.
    """
    servers: list[Server] = []
    try:
        for address in listen:
            servers.append(Server(address, exporter))  # noqa: PERF401 - see finally
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

    def __init__(self, address: str, exporter: Exporter) -> None:
        self.exporter = exporter
        self.gate = Gate()
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
        return f"http{'s' * bool(self.web().tls)}://{host}:{self.server_port}"

    def web(self) -> Web:
        return self.exporter.web.now() if self.exporter.web else Web()

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


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if ":" not in address or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--web.listen-address {address}: give [HOST]:PORT, for example :10057")
    return host, int(port)
