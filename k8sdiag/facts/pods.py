"""The pods of the cluster, in columns: 150,000 of them take ten megabytes."""

import sys
from array import array
from collections import Counter

from msgspec import Struct

from k8sdiag.model import Fact


class DNSConfig(Struct, frozen=True):
    """A pod's dnsConfig, as it stands in the API."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # (name, value); an option without value has ""


class Container(Struct, frozen=True):
    image: str
    pull_policy: str = ""  # "Always", "IfNotPresent", "Never"
    init: bool = False


class Served(Struct, frozen=True):
    """What containers of one image name run: a tag that moved has several digests."""

    image: str  # as pods ask for it
    digest: str  # "sha256:..." as the container runtime reports it
    repository: bool  # True: the registry's digest of the name; False: the runtime's own id
    containers: int


class Workload(Struct, frozen=True, order=True):
    """What an operator edits to change a pod: its outermost owner that its own fields tell."""

    namespace: str
    kind: str  # "Deployment", "DaemonSet", "StatefulSet", "CronJob", "Job", "Pod", ...
    name: str

    @property
    def subject(self) -> str:
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


class Profile(Struct, frozen=True):
    """What the checks need of a pod; pods of one workload mostly share one profile."""

    workload: Workload
    dns_policy: str = "ClusterFirst"
    dns_config: DNSConfig | None = None
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    image_volumes: tuple[Container, ...] = ()  # images that are mounted; pulled before all others
    pull_secrets: bool = False  # whether it names any, or its service account does
    priority_class: str = ""
    phase: str = "Running"


class Pods(Fact, frozen=True, kw_only=True):
    """Pod i has the profile profiles[profile_of[i]] and runs on nodes[node_of[i]]."""

    profiles: tuple[Profile, ...]
    nodes: tuple[str, ...]  # node names; "" is a pod that is not scheduled yet
    profile_column: bytes  # little-endian uint32 each; see columns()
    node_column: bytes
    created_column: bytes = b""  # seconds since 1970; empty: not known of any; see created()
    served: tuple[Served, ...] = ()  # by the containers of pods that run, without init ones
    placed: bool = True  # False: made from workload templates, which node runs what is not known

    def __len__(self) -> int:
        return len(self.profile_column) // 4

    def columns(
        self,
    ) -> "tuple[array[int], array[int]]":  # array can be subscripted from Python 3.12 on
        """(profile_of, node_of), one entry a pod."""
        return _unpack(self.profile_column), _unpack(self.node_column)

    def created(self) -> "array[int]":
        """When each pod was made, in seconds since 1970; 0 is unknown."""
        return _unpack(self.created_column or bytes(len(self.profile_column)))

    def counts(self) -> dict[int, int]:
        """How many pods each profile has, by its position."""
        return dict(Counter(self.columns()[0]))

    def scale(self) -> dict[str, float]:
        """Pods that have not ended, and how many of them a node has that has any."""
        ended = {i for i, p in enumerate(self.profiles) if p.phase in ("Succeeded", "Failed")}
        nowhere = self.nodes.index("") if "" in self.nodes else None
        alive = [n for p, n in zip(*self.columns(), strict=True) if p not in ended]
        pods = {"pods": float(len(alive))}
        hosts = len(self.nodes) - (nowhere is not None)
        if not (self.placed and hosts):
            return pods
        taken = sum(node != nowhere for node in alive)
        return {**pods, "pods_per_node": taken / hosts}


def pack(column: "array[int]") -> bytes:
    """An array("I") as the bytes that a snapshot file holds on every machine."""
    if sys.byteorder == "big":
        column = array("I", column)
        column.byteswap()
    return column.tobytes()


def _unpack(packed: bytes) -> "array[int]":
    column = array("I", packed)
    if sys.byteorder == "big":
        column.byteswap()
    return column
