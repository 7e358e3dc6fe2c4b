"""rtnetlink dumps with nothing but the standard library: what the kernel tells any process.

Layouts: include/uapi/linux/netlink.h and rtnetlink.h. No privilege is needed, and what is one
per kernel (the neighbor tables) reads the same from every network namespace.
"""

import socket
import struct
from collections.abc import Iterator

from k8sdiag.model import Unavailable

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the kernel's list changed while it was read
_TYPE = 0x3FFF  # the rest of an attribute's type are flags


def dump(kind: int, body: bytes, *, timeout_seconds: float = 5.0) -> list[tuple[int, bytes]]:
    """All replies to one dump request, as (message type, payload).

    Raises Unavailable when the kernel or a sandbox refuses.
    """
    try:
        family, protocol = socket.AF_NETLINK, socket.NETLINK_ROUTE
    except AttributeError:
        raise Unavailable("netlink exists on Linux only: run on a node") from None
    try:
        with socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as door:
            door.settimeout(timeout_seconds)
            door.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
            return list(_replies(door))
    except OSError as error:
        raise Unavailable(f"the kernel does not answer over netlink: {error}") from error


def _replies(door: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        # One datagram of a dump never exceeds 32 KiB (netlink_dump in net/netlink/af_netlink.c).
        for kind, payload in messages(door.recv(1 << 16)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                (code,) = struct.unpack_from("=i", payload)
                raise OSError(-code, f"error {-code}")
            yield kind, payload


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of one datagram, as (type, payload)."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message or of a nested attribute, by type."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found
