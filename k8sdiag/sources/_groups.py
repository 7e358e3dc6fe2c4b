"""Which API groups the cluster has: one request, instead of one for each that it may lack."""

import msgspec
from msgspec import Struct, field

from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes

DISCOVERY = Permission(resource="/apis", verb="get")


class _Version(Struct, frozen=True):
    version: str = ""


class _Group(Struct):
    name: str
    preferred: _Version = field(name="preferredVersion", default=_Version())


class _Groups(Struct):
    groups: list[_Group] = []


def groups(reader: Kubernetes) -> dict[str, str]:
    """The preferred version of each group. Raises Unavailable as reader.get() does."""
    try:
        found = msgspec.json.decode(reader.get("/apis", DISCOVERY), type=_Groups)
    except msgspec.DecodeError as error:
        raise Unavailable("/apis: the reply is not what an API server sends") from error
    return {group.name: group.preferred.version for group in found.groups}
