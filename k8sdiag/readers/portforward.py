"""One GET through the API server to a port that a pod's node keeps to itself: a port-forward.

As a WebSocket, where each frame begins with the number of its channel: 0 is the port's data, 1
what the kubelet says of errors, and the first frame of each repeats the port's number
(k8s.io/kubelet, pkg/cri/streaming/portforward). Nothing is exec'ed and nothing listens here.
"""

import http.client
import io
import time
from typing import Any

from k8sdiag.model import Unavailable
from k8sdiag.readers.https import Connection

PROTOCOL = "v4.channel.k8s.io"
PAGE_BYTES = 16 << 20
DATA, ERROR = 0, 1


class NotAllowedError(Unavailable):
    """403, to be said with the missing permission by who knows it."""


def get(connection: Connection, pod_path: str, port: int, path: str, seconds: float) -> bytes:
    """The body of http://localhost:port/path in the pod's network namespace.

    `pod_path` is the pod's in the API. The connection is used up. Raises Unavailable.
    """
    import websocket

    deadline = time.monotonic() + seconds
    try:
        socket = websocket.WebSocket()
        _handshake(socket, connection, f"{pod_path}/portforward?ports={port}", deadline)
        request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
        socket.send_binary(bytes([DATA]) + request.encode())
        return _body(_receive(socket, deadline))
    except websocket.WebSocketBadStatusException as error:
        if error.status_code == http.client.FORBIDDEN:
            raise NotAllowedError("forbidden") from error
        raise Unavailable(f"no port-forward: HTTP status {error.status_code}") from error
    except (TimeoutError, websocket.WebSocketTimeoutException) as error:
        raise Unavailable("the port-forward brings no answer in time") from error
    except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
        raise Unavailable(f"the port-forward fails: {error}") from error
    finally:
        connection.close()


def _handshake(socket: Any, connection: Connection, target: str, deadline: float) -> None:
    url, plain, headers = connection.for_websocket(target)
    plain.settimeout(max(0.1, deadline - time.monotonic()))
    socket.connect(
        url,
        socket=plain,
        header=[f"{name}: {value}" for name, value in headers.items()],
        subprotocols=[PROTOCOL],
        suppress_origin=True,
    )


def _receive(socket: Any, deadline: float) -> bytes:
    """What the port sends until it closes."""
    import websocket

    received: bytes = b""
    begun = {DATA: False, ERROR: False}
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        socket.settimeout(left)
        opcode, frame = socket.recv_data()
        if opcode != websocket.ABNF.OPCODE_BINARY or not frame:
            return received
        channel, data = frame[0], frame[1:]
        if not begun.get(channel, True):
            begun[channel] = True  # the port's number
        elif channel == ERROR and data:
            raise Unavailable(
                f"the kubelet says: {' '.join(data.decode(errors='replace').split())}"
            )
        elif channel == DATA:
            received += data
            if len(received) > PAGE_BYTES:
                raise Unavailable("the port-forward brings more than a page of metrics")
            if _whole(received):
                return received


def _whole(reply: bytes) -> bool:
    """Whether a chunked reply has come to its end: not every kubelet closes then."""
    return reply.endswith(b"\r\n0\r\n\r\n")


class _Recorded:
    """What http.client takes for a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        return io.BytesIO(self._received)


def _body(received: bytes) -> bytes:
    response = http.client.HTTPResponse(_Recorded(received))  # type: ignore[arg-type]
    response.begin()
    body: bytes = response.read()
    if response.status != http.client.OK:
        raise Unavailable(f"behind the port-forward: HTTP status {response.status}")
    return body
