"""etcd's JSON gateway, the last resort: off in many installations, and refused with users.

Absent from the client port on k3s, RKE2 and OpenShift; 3.4 with a config file has none at all.
Its answers bear the names of the protobuf messages, so they read like them.
"""

import http.client
import ssl
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from k8sdiag.model import Unavailable
from k8sdiag.readers import web

REPLY_BYTES = 1 << 20

T = TypeVar("T")
Call = Callable[[str, "ssl.SSLContext", float], tuple[object, int]]


class _Header(Struct):
    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0


class _Status(Struct):
    header: _Header = field(default_factory=_Header)
    version: str = ""
    dbSize: int = 0  # noqa: N815 - the names of etcd's messages
    dbSizeInUse: int = 0  # noqa: N815
    dbSizeQuota: int = 0  # noqa: N815
    storageVersion: str = ""  # noqa: N815
    leader: int = 0
    raftIndex: int = 0  # noqa: N815
    raftAppliedIndex: int = 0  # noqa: N815
    errors: list[str] = []
    isLearner: bool = False  # noqa: N815


class _Member(Struct):
    ID: int = 0
    name: str = ""
    clientURLs: list[str] = []  # noqa: N815


class _Members(Struct):
    header: _Header = field(default_factory=_Header)
    members: list[_Member] = []


def status(url: str, tls: "ssl.SSLContext", seconds: float) -> tuple[object, int]:
    """(what stands for a StatusResponse, bytes of the reply). Raises Unavailable."""
    return _post(f"{url}/v3/maintenance/status", tls, seconds, _Status)


def members(url: str, tls: "ssl.SSLContext", seconds: float) -> tuple[object, int]:
    """(what stands for a MemberListResponse, bytes of the reply). Raises Unavailable."""
    return _post(f"{url}/v3/cluster/member/list", tls, seconds, _Members)


def _post(url: str, tls: "ssl.SSLContext", seconds: float, kind: type[T]) -> tuple[T, int]:
    try:
        reply = web.fetch(url, seconds=seconds, most_bytes=REPLY_BYTES, tls=tls, body=b"{}")
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"no JSON gateway: {error}") from error
    if reply.status != http.client.OK:
        raise Unavailable(f"no JSON gateway: HTTP status {reply.status}")
    try:
        # Not strict: it writes 64-bit integers as strings.
        return msgspec.json.decode(reply.body, type=kind, strict=False), len(reply.body)
    except msgspec.DecodeError as error:
        raise Unavailable(f"no JSON gateway: {error}") from error
