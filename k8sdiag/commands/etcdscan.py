"""Count each resource's keys in etcd itself, where the API server's metrics do not tell.

Opt-in, because a count holds the lock of etcd's index, some 0.5 us a key, and writes wait. So
it asks one follower for its own word, one prefix after the other, rests ten times as long as the
last answer took, and stops when one takes too long. No key and no value is read.
"""

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import etcd_members

ABORT_SECONDS = 0.25
REST = 10  # times the last answer
LEAST_REST_SECONDS = 0.02
ROOTS = ("/registry", "/kubernetes.io")  # --etcd-prefix of the API server; the second: OpenShift

# Where the key does not have the resource's name; see pkg/registry and pkg/kubeapiserver of
# Kubernetes. "services/" alone would count endpoints too.
_KEYS = {
    "nodes": "minions",
    "services": "services/specs",
    "endpoints": "services/endpoints",
    "replicationcontrollers": "controllers",
    "ingresses.networking.k8s.io": "ingress",
    "ingresses.extensions": "ingress",
}

Count = Callable[[str], int]


class _Resource(Struct, frozen=True):
    name: str = ""
    verbs: tuple[str, ...] = ()


class _Resources(Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


class _Version(Struct, frozen=True, rename="camel"):
    group_version: str = ""


class _Group(Struct, frozen=True, rename="camel"):
    name: str = ""
    preferred_version: _Version = _Version()


class _Groups(Struct, frozen=True):
    groups: tuple[_Group, ...] = ()


def scan(kubernetes: Kubernetes, etcd: Etcd) -> EtcdObjects:
    """What the API server's resources have below their prefixes; sizes stay unknown.

    Raises Unavailable when etcd is in no state to be asked, or where no resource is found in it.
    """
    names, unseen = discover(kubernetes)
    member = follower(etcd_members.collect(etcd).members)
    with etcd.ask(member.endpoint) as client:
        resources, stopped = paced(client.count, names)
    return EtcdObjects(
        resources=resources,
        gaps=unseen | ({"the rest": stopped} if stopped else {}),
        provenance=f"counts by etcd/{member.name} at {member.endpoint}",
    )


def discover(kubernetes: Kubernetes) -> tuple[list[str], dict[str, str]]:
    """Every resource that can be listed, as "leases.coordination.k8s.io", and groups not seen."""

    def listed(path: str, group: str) -> list[str]:
        needs = Permission(resource=path, verb="get")
        found = msgspec.json.decode(kubernetes.get(path, needs), type=_Resources).resources
        ours = (r.name for r in found if "list" in r.verbs and "/" not in r.name)
        return [".".join(filter(None, (name, group))) for name in ours]

    try:
        names = listed("/api/v1", "")
        body = kubernetes.get("/apis", Permission(resource="/apis", verb="get"))
        groups = msgspec.json.decode(body, type=_Groups).groups
        unseen = {}
        for group in groups:
            try:
                names += listed(f"/apis/{group.preferred_version.group_version}", group.name)
            except Unavailable as error:  # an aggregated API whose server is down
                unseen[group.name] = str(error)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the API server's discovery is not understood: {error}") from error
    return sorted(names), unseen


def follower(members: Sequence[EtcdMember]) -> EtcdMember:
    """The member that is asked: not the leader, if there is another.

    Raises Unavailable when etcd is in trouble: it must not get more to do.
    """
    if any(m.defragmenting for m in members):
        raise Unavailable("etcd is being defragmented: scan it when that is done")
    if not all(m.has_leader for m in members):
        raise Unavailable("etcd has a member without a leader: mend that before you scan it")
    voters = [m for m in members if not m.learner] or list(members)
    return min(voters, key=lambda m: (m.leading, m.name))


def prefixes(name: str, root: str) -> tuple[str, ...]:
    """Where a resource's keys may lie.

    Resources of Kubernetes itself leave their group out, custom ones keep it; a group below
    k8s.io may be either.
    """
    plural, _, group = name.partition(".")
    own = f"{root}/{_KEYS.get(name, plural)}/"
    custom = f"{root}/{group}/{plural}/"
    if "." not in group:
        return (own,)
    return (own, custom) if group.endswith(".k8s.io") else (custom,)


def paced(
    count: Count,
    names: Iterable[str],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[tuple[StoredResource, ...], str]:
    """The counts, and why they stopped; "" if they are whole."""
    asked: dict[str, str] = {}  # prefix -> whose it was: two groups may share one, as events do
    found: list[StoredResource] = []

    def one(prefix: str) -> int:
        begin = clock()
        result = count(prefix)
        took = clock() - begin
        if took > ABORT_SECONDS:
            raise _SlowError(f"counting {prefix} took {took * 1000:.0f} ms: stopped, to spare etcd")
        sleep(max(LEAST_REST_SECONDS, REST * took))
        return result

    try:
        root = next((r for r in ROOTS if one(f"{r}/namespaces/")), None)
        if root is None:
            raise Unavailable(
                f"etcd has no namespaces below {' or '.join(ROOTS)}: it is another cluster's, or "
                "the API server has an --etcd-prefix of its own"
            )
        for name in names:
            mine = [p for p in prefixes(name, root) if asked.setdefault(p, name) == name]
            if mine:
                found.append(StoredResource(name=name, objects=sum(map(one, mine))))
    except _SlowError as error:
        return tuple(found), str(error)
    return tuple(found), ""


class _SlowError(Exception):
    pass
