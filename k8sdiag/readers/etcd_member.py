"""The client of one etcd member: plain HTTP for /metrics and a gRPC channel, to one address.

One address, because a name may stand for several members, and what they say is joined.
"""

import http.client
import os
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from k8sdiag.model import Unavailable
from k8sdiag.readers import etcd_errors, etcd_gateway
from k8sdiag.readers.etcd_credentials import Credentials

CONNECT_SECONDS = 2.0
STATUS_SECONDS = 3.0  # a member in defrag answers nothing for as long as it takes
METRICS_SECONDS = 1.5
METRICS_BYTES = 16 << 20  # etcd's page has 0.2 MB; anything like this is not etcd's
MEMBER_SECONDS = 4.5  # for all that one member is asked
COUNT_SECONDS = 2.0  # for one count; more than some milliseconds is too much already


class Member:
    """A client of whatever member answers at a URL.

    Every method raises Unavailable with what went wrong and the mend.
    """

    def __init__(self, url: str, credentials: Credentials, count: Callable[[int], None]) -> None:
        """Connect. `count` is told the bytes of each reply."""
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._credentials, self._count = credentials, count
        self._deadline = time.monotonic() + MEMBER_SECONDS
        self._channel: Any = None
        self._suspicion = ""  # why the session may have ended; said if the next call fails too
        self._url = url
        self.date = ""  # the Date header of /metrics: its clock, in whole seconds
        try:
            self._socket = socket.create_connection((self._host, parts.port), CONNECT_SECONDS)
            self._address = self._socket.getpeername()[:2]
            if self._tls:
                self._socket = credentials.context.wrap_socket(
                    self._socket, server_hostname=self._host
                )
        except (OSError, UnicodeError) as error:
            raise Unavailable(etcd_errors.connecting(error, credentials.files)) from error

    def close(self) -> None:
        self._socket.close()
        if self._channel is not None:
            self._channel.close()

    def metrics(self) -> bytes:
        """The page /metrics of the client port."""
        end = time.monotonic() + self._left(METRICS_SECONDS)
        self._socket.settimeout(self._left(METRICS_SECONDS))
        # The port is given only so that it is not looked for in an IPv6 address.
        connection = http.client.HTTPConnection(self._host, self._address[1])
        connection.sock = self._socket
        body = b""
        try:
            connection.request("GET", "/metrics")
            reply = connection.getresponse()
            while chunk := reply.read1(1 << 16):
                body += chunk
                if len(body) > METRICS_BYTES or time.monotonic() > end:
                    raise Unavailable("/metrics is too large or too slow")
        except (OSError, http.client.HTTPException) as error:
            self._suspicion = etcd_errors.closed(error, self._credentials.files, tls=self._tls)
            late = isinstance(error, TimeoutError)
            why = "no answer in time" if late else "not served on the client port"
            raise Unavailable(f"/metrics: {why}") from error
        self._count(len(body))
        self.date = reply.headers.get("Date", "")
        if reply.status != http.client.OK:
            raise Unavailable(f"/metrics: HTTP status {reply.status}")
        return body

    def status(self) -> Any:
        """Its StatusResponse, from its own memory."""
        return self._or_by_gateway("Maintenance/Status", "StatusResponse", etcd_gateway.status)

    def members(self) -> Any:
        """Its MemberListResponse: the list as it knows it, without asking the others."""
        return self._or_by_gateway("Cluster/MemberList", "MemberListResponse", etcd_gateway.members)

    def _or_by_gateway(self, method: str, response: str, gateway: etcd_gateway.Call) -> Any:
        """Over gRPC, or as JSON where gRPC does not come through: a proxy, or no grpc here."""
        try:
            return self._call(method, response)
        except _NoGRPCError as error:
            try:
                reply, size = gateway(self._url, self._credentials.context, self._left(1.5))
            except Unavailable:
                raise error from None  # the reason that a user can mend
        self._count(size)
        return reply

    def count(self, prefix: str) -> int:
        """How many keys begin so: it costs the member some 0.5 us each, under its index' lock.

        A deadline of its own: counts go on for longer than all else that a member is asked.
        """
        start = prefix.encode()
        _, messages = _grpc()
        request = messages.RangeRequest(
            key=start,
            range_end=start[:-1] + bytes([start[-1] + 1]),
            serializable=True,
            count_only=True,
        )
        self._deadline = time.monotonic() + COUNT_SECONDS
        return int(self._call("KV/Range", "RangeResponse", request.SerializeToString()).count)

    def _call(self, method: str, response: str, request: bytes = b"") -> Any:
        grpc, messages = _grpc()
        if self._channel is None:
            self._channel = self._open(grpc)
        call = self._channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=None,  # they are bytes already
            response_deserializer=getattr(messages, response).FromString,
        )
        reply = self._answer(call, request, method.rpartition("/")[2])
        self._count(reply.ByteSize())
        return reply

    def _answer(self, call: Any, request: bytes, method: str) -> Any:
        """The reply, after a login if etcd wants one."""
        import grpc

        token = self._credentials.token
        # Not as call credentials: grpc refuses those without TLS.
        metadata = (("token", token),) if token else ()
        try:
            return call(request, timeout=self._left(STATUS_SECONDS), metadata=metadata)
        except grpc.RpcError as error:
            code = error.code().name
            if code in etcd_errors.REFUSED and self._credentials.user and not token:
                self._log_in()
                return self._answer(call, request, method)
            why = etcd_errors.calling(error, method)
            if code == "UNAVAILABLE":
                raise _NoGRPCError(self._suspicion or why) from error
            if code == "UNIMPLEMENTED":
                raise _NoGRPCError(why) from error
            raise Unavailable(why) from error

    def _log_in(self) -> None:
        """Once for all members: a token is every member's, and to get one costs a raft proposal."""
        import grpc

        from k8sdiag.readers.etcd_messages import AuthenticateRequest, AuthenticateResponse

        who = self._credentials
        with who.lock:
            if who.denied:
                raise Unavailable(who.denied)
            if who.token:
                return
            call = self._channel.unary_unary(
                "/etcdserverpb.Auth/Authenticate",
                request_serializer=AuthenticateRequest.SerializeToString,
                response_deserializer=AuthenticateResponse.FromString,
            )
            request = AuthenticateRequest(name=who.user, password=who.password)
            try:
                who.token = call(request, timeout=self._left(STATUS_SECONDS)).token
            except grpc.RpcError as error:
                who.denied = etcd_errors.logging_in(error, who.user)
                raise Unavailable(who.denied) from error

    def _open(self, grpc: Any) -> Any:
        ip, port = self._address
        target = f"ipv6:[{ip}]:{port}" if ":" in ip else f"ipv4:{ip}:{port}"
        # Like etcdctl no proxy: $HTTPS_PROXY is not meant for etcd.
        options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
        if not self._tls:
            return grpc.insecure_channel(target, options)
        options.append(("grpc.ssl_target_name_override", self._host))
        pem = self._credentials
        credentials = grpc.ssl_channel_credentials(pem.roots, pem.key, pem.cert)
        return grpc.secure_channel(target, credentials, options)

    def _left(self, seconds: float) -> float:
        return max(0.1, min(seconds, self._deadline - time.monotonic()))


class _NoGRPCError(Unavailable):
    """gRPC does not come through; JSON may."""


def _grpc() -> tuple[Any, Any]:
    """grpc and the messages, imported only here: they cost 30 MB."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core writes to stderr by itself
    try:
        import grpc

        from k8sdiag.readers import etcd_messages
    except ImportError as error:
        raise _NoGRPCError(f"{error}: install grpcio and protobuf to ask etcd") from error
    return grpc, etcd_messages
