"""What one connection to an exporter gets: the page, the metrics, the probes."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING

from k8sdiag.exposition import encoder
from k8sdiag.version import VERSION

if TYPE_CHECKING:
    from k8sdiag.web.server import Server

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0  # a connection may wait so long for its next request
HANDSHAKE_SECONDS = 10.0
SCRAPE_SECONDS = 10.0  # Prometheus' default scrape_timeout, for who does not tell his own
SPARE_SECONDS = 0.5  # of the scrape's time are left to write the answer and to carry it
# Without a login: they tell nothing and cost nothing, and kubelets have no password.
PROBES = ("/-/healthy", "/-/ready")
NOTHING: Mapping[str, str] = MappingProxyType({})

_LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>k8sdiag</title></head><body>
<h1>k8sdiag</h1><p>Version {version}</p>
<ul><li><a href="{path}">Metrics</a></li><li><a href="/-/healthy">Healthy</a></li>
<li><a href="/-/ready">Ready</a></li></ul></body></html>
"""


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"
    # Header and body in one packet and no waiting for an acknowledgement: else 44 ms a scrape.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def setup(self) -> None:
        # In this connection's own thread: a client that says nothing delays nobody else.
        self.web = self.server.web()
        if self.web.tls:
            self.request.settimeout(HANDSHAKE_SECONDS)
            self.request = self.web.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if self.web.tls:
                self.request.close()  # the server knows only the socket below it

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in PROBES and not self._may():
            challenge = {"WWW-Authenticate": 'Basic realm="k8sdiag"'}
            self._reply(HTTPStatus.UNAUTHORIZED, "log in\n", more=challenge)
        elif self.server.slots.acquire(blocking=False):
            try:
                self._answer(path)
                self.wfile.flush()
            finally:
                self.server.slots.release()
        else:
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once\n")

    def _may(self) -> bool:
        """Asked anew for each request: a password may change while the connection lives."""
        self.web = self.server.web()
        header = self.headers.get("Authorization", "")
        return not self.web.users or self.server.gate.allows(header, self.web.users)

    def _answer(self, path: str) -> None:
        exporter = self.server.exporter
        if path == exporter.telemetry_path:
            self._metrics()
        elif path == "/":
            page = _LANDING.format(version=VERSION, path=exporter.telemetry_path)
            self._reply(HTTPStatus.OK, page, "text/html; charset=utf-8")
        elif path == "/-/ready" and not exporter.ready():
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, "the first look is not over\n")
        elif path in PROBES:
            self._reply(HTTPStatus.OK, "ok\n")
        else:
            self._reply(HTTPStatus.NOT_FOUND, "there is / and what it links to\n")

    def version_string(self) -> str:
        return f"k8sdiag/{VERSION}"

    do_HEAD = do_GET  # noqa: N815 - the standard library's names

    def _metrics(self) -> None:
        encode, content_type = encoder(self.headers.get("Accept", ""))
        try:
            body = encode(self.server.exporter.scrape(self._seconds()))
        except Exception as error:
            log.debug("", exc_info=True)
            log.error("a scrape failed, a bug of k8sdiag: %r", error)  # noqa: TRY400 - one line
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, "the scrape failed: see the log\n")
            return
        self._reply(HTTPStatus.OK, body, content_type)

    def _seconds(self) -> float:
        """How long the scraper waits, less what it takes to answer."""
        try:
            told = float(self.headers.get("X-Prometheus-Scrape-Timeout-Seconds", SCRAPE_SECONDS))
        except ValueError:
            told = SCRAPE_SECONDS
        if not 0 < told < math.inf:
            told = SCRAPE_SECONDS
        return max(told - SPARE_SECONDS, told / 2)

    def _reply(
        self,
        status: HTTPStatus,
        body: str | bytes,
        content_type: str = "text/plain; charset=utf-8",
        *,
        more: Mapping[str, str] = NOTHING,
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in {**self.web.headers, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        log.debug("%s " + format, self.client_address[0], *args)
