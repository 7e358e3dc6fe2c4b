"""One GET or POST over HTTP/1.1 whose whole reply comes within a deadline.

No redirect is followed and no proxy of the environment is asked: what is read here (Prometheus,
etcd's metrics) stands inside the network, and a redirect leads to a page for people.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from email.message import Message
from urllib.parse import urlsplit

from msgspec import Struct

from k8sdiag.version import USER_AGENT

CONNECT_SECONDS = 3.0


class TooLargeError(OSError):
    """The reply has more bytes than anything that is asked for here."""


class Reply(Struct, frozen=True):
    status: int
    headers: Message
    body: bytes


def fetch(
    url: str,
    *,
    seconds: float,
    most_bytes: int,
    tls: "ssl.SSLContext | None" = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """The reply to a GET of the URL, or to a POST of the body, whatever its status.

    Raises OSError (TimeoutError past `seconds`, TooLargeError past `most_bytes`) and HTTPException.
    """
    deadline = time.monotonic() + seconds
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = http.client.HTTPConnection(host, port)
    connection.sock = socket.create_connection((host, port), min(seconds, CONNECT_SECONDS))
    try:
        if secure:
            context = tls or ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.sock.settimeout(_left(deadline))
        sent = {"User-Agent": USER_AGENT, "Connection": "close", **(headers or {})}
        connection.request("GET" if body is None else "POST", target, body, sent)
        sock = connection.sock  # the connection lets go of it once the reply has begun
        response = connection.getresponse()
        received = b""
        while chunk := response.read1(1 << 16):
            received += chunk
            if len(received) > most_bytes:
                raise TooLargeError(f"it has more than {most_bytes >> 20} MiB")
            sock.settimeout(_left(deadline))
        if response.length:  # read1() takes a body that is cut off for a whole one
            raise http.client.IncompleteRead(b"", response.length)
        return Reply(response.status, response.headers, received)
    finally:
        connection.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
