"""A server on the loopback that answers as told, for what a real API server can't be made to do.

Its words (of a 403, 410 or 429) are those of kube-apiserver 1.36.3.
"""

import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from k8sdiag.readers.kubernetes import Kubernetes

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    after_seconds: float = 0.0
    chunked: bool = False
    cut: int | None = None  # close the connection after so many bytes of the body
    hang_up: bool = False  # close it after the whole reply, without a word


@dataclass(frozen=True)
class Request:
    path: str
    query: dict[str, str]
    headers: Message


class ScriptedApi(ThreadingHTTPServer):
    """Gives `answers` one after the other; /version it always knows."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self.version: str | Answer = "v1.33.2"
        self.answers: list[Answer] = []
        self.asked: list[Request] = []  # without those for /version
        self.connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the script."""

    def wait_for(self, requests: int, seconds: float = 5.0) -> None:
        """Until so many were asked: a request on its way arrives a little later."""
        end = time.monotonic() + seconds
        while len(self.asked) < requests and time.monotonic() < end:
            time.sleep(0.005)
        assert len(self.asked) == requests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedApi

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.in_flight += 1
            self.server.most_in_flight = max(self.server.in_flight, self.server.most_in_flight)
        self.reply(self.next_answer())
        with self.server.lock:
            self.server.in_flight -= 1

    def next_answer(self) -> Answer:
        url = urllib.parse.urlsplit(self.path)
        if url.path.endswith("/version"):
            version = self.server.version
            if isinstance(version, Answer):
                return version
            return Answer(json.dumps({"gitVersion": version}).encode())
        query = dict(urllib.parse.parse_qsl(url.query))
        self.server.asked.append(Request(url.path, query, self.headers))
        if not self.server.answers:
            return Answer(b"nothing is left in the script", status=418)
        return self.server.answers.pop(0)

    def reply(self, answer: Answer) -> None:
        time.sleep(answer.after_seconds)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        body = answer.body
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: answer.cut])
        self.close_connection = answer.hang_up or answer.cut is not None

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def scripted(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedApi]:
    with ScriptedApi(tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def listed(
    *items: object, token: str = "", remaining: int | None = None, kind: str = "PodList"
) -> bytes:
    """One page, its fields in the order in which an API server writes them."""
    metadata: dict[str, Any] = {"resourceVersion": "207"}
    if token:
        metadata["continue"] = token
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    page = {"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items}
    return json.dumps(page, separators=(",", ":")).encode()


def refused(status: int, message: str, **metadata: str) -> Answer:
    """A Status, as the API server sends it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": metadata,
        "status": "Failure",
        "message": message,
        "code": status,
    }
    return Answer(json.dumps(body).encode(), status)


def kubeconfig(
    path: Path, server: str, *, cluster: Mapping[str, object] | None = None, user: object = None
) -> Path:
    """A kubeconfig (JSON, which is YAML) with one context; more of its cluster and user on top."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab-cluster", "user": "me"}}],
        "clusters": [{"name": "lab-cluster", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
    }
    path.write_text(json.dumps(config))
    return path


@contextmanager
def opened(folder: Path, *answers: Answer, quick: bool = False) -> Iterator[Kubernetes]:
    """The door to a server that gives these answers."""
    with scripted() as server:
        server.version = "v1.36.3"
        server.answers = list(answers)
        door = Kubernetes.open(kubeconfig(folder / "config", server.url))
        door.quick = quick
        try:
            yield door
        finally:
            door.close()
