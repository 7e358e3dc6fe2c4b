"""A stand-in for an API server: TLS 1.3, HTTP/1.1, pages out of files, a log of what it served.

    python -m bench.server FOLDER PAGES LOG

Under /large and /small it serves a cluster of that size as fast as it can; under /shaped/large
as a server 30 ms away on a link of 1 Gbit/s would. FOLDER has ca.crt, server.crt, server.key.
The first line on stdout is its port; at the end of stdin it writes LOG and ends.
"""

import json
import mmap
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.cluster import VERSION, token

BYTES_PER_SECOND = 125e6
PAGE_SECONDS = 0.030
SLICE = 256 * 1024


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext, pages: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        # The handshake belongs into the connection's thread.
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.first = token(0)
        self.pages: dict[tuple[str, str], mmap.mmap] = {}
        for path in sorted(pages.glob("*/*")):
            with path.open("rb") as file:
                page = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.pages[path.parent.name, token(int(path.name))] = page
        self.lock = threading.Lock()
        self.log: list[dict[str, object]] = []
        self.in_flight = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.in_flight += 1
            entry = {"path": self.path, "in_flight": self.server.in_flight}
            self.server.log.append(entry)
        try:
            self.answer()
        finally:
            with self.server.lock:
                self.server.in_flight -= 1

    def answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        shaped = url.path.startswith("/shaped/")
        size, _, path = url.path.removeprefix("/shaped").lstrip("/").partition("/")
        if path == "version":
            body = json.dumps({"gitVersion": VERSION}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        query = dict(urllib.parse.parse_qsl(url.query))
        folder = "nodes" if path == "api/v1/nodes" else size
        page = self.server.pages.get((folder, query.get("continue", self.server.first)))
        if page is None:
            self.send_error(404)
            return
        if shaped:
            time.sleep(PAGE_SECONDS)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        begin = time.monotonic()
        with memoryview(page) as view:
            for start in range(0, len(view), SLICE):
                if shaped and (ahead := begin + start / BYTES_PER_SECOND - time.monotonic()) > 0:
                    time.sleep(ahead)
                self.connection.sendall(view[start : start + SLICE])

    def log_message(self, *args: object) -> None:
        """Nothing on stderr: the log is a file."""


def main() -> None:
    folder, pages, log = map(Path, sys.argv[1:])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    tls.load_verify_locations(folder / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    with Server(tls, pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        log.write_text(json.dumps(server.log))
        server.shutdown()


if __name__ == "__main__":
    main()
