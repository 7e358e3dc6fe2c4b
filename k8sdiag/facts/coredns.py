"""The cluster's DNS servers: how many there are, where they run, and what they are told to do."""

import math

from msgspec import Struct

from k8sdiag.facts.pods import Workload
from k8sdiag.model import Fact


class Plugin(Struct, frozen=True):
    """One directive of a server block; of those that no check judges, a fact has the name alone."""

    name: str
    args: tuple[str, ...] = ()
    options: tuple[tuple[str, ...], ...] = ()  # the lines of its block, word by word


class ServerBlock(Struct, frozen=True):
    zones: tuple[str, ...]  # without scheme, port and last dot: "cluster.local"; the root is "."
    plugins: tuple[Plugin, ...] = ()

    def named(self, name: str) -> tuple[Plugin, ...]:
        return tuple(p for p in self.plugins if p.name == name)


class Corefile(Struct, frozen=True):
    config_map: str  # "kube-system/coredns"
    servers: tuple[ServerBlock, ...] = ()
    broken: str = ""  # not empty: CoreDNS could not read it either; where, and why


class Replica(Struct, frozen=True):
    """One pod that the DNS Service selects."""

    pod: str
    node: str = ""
    addresses: tuple[str, ...] = ()
    ready: bool = False


class NodeLocal(Struct, frozen=True):
    """NodeLocal DNSCache: the DaemonSet node-local-dns."""

    desired: int
    ready: int
    addresses: tuple[str, ...] = ()  # that it listens on; the DNS Service's, too, with iptables
    corefile: Corefile | None = None


class Autoscaler(Struct, frozen=True, kw_only=True):
    """What the cluster-proportional-autoscaler of the DNS servers is told; 0 is not set."""

    config_map: str
    cores_per_replica: float = 0.0
    nodes_per_replica: float = 0.0
    least: int = 1
    most: int = 0
    prevent_single_point_failure: bool = False
    cores_to_replicas: tuple[tuple[int, int], ...] = ()
    nodes_to_replicas: tuple[tuple[int, int], ...] = ()

    def replicas(self, cores: float, nodes: int) -> int:
        """How many it makes, by its linear or its ladder mode (its README has both)."""
        if self.cores_to_replicas or self.nodes_to_replicas:
            return max(_step(self.cores_to_replicas, cores), _step(self.nodes_to_replicas, nodes))
        wanted = 1
        for amount, each in ((cores, self.cores_per_replica), (nodes, self.nodes_per_replica)):
            wanted = max(wanted, math.ceil(amount / each) if each > 0 else 1)
        least = max(self.least, 2 if self.prevent_single_point_failure and nodes > 1 else 1)
        return max(least, min(wanted, self.most) if self.most else wanted)


def _step(ladder: tuple[tuple[int, int], ...], amount: float) -> int:
    """The replicas of the highest step that is reached; those of the lowest below it."""
    steps = sorted(ladder)
    reached = [replicas for start, replicas in steps if start <= amount]
    return (reached or [replicas for _, replicas in steps[:1]] or [1])[-1]


class CoreDNS(Fact, frozen=True, kw_only=True):
    """What answers the address that pods ask. Parts that could not be read are in `gaps`."""

    service: str  # "kube-system/kube-dns"
    addresses: tuple[str, ...] = ()  # of the Service
    selector: dict[str, str] = {}
    workload: Workload | None = None  # None: no Deployment or DaemonSet makes the pods
    container: str = ""
    image: str = ""
    memory_limit_bytes: int = 0  # 0: no limit
    replicas: tuple[Replica, ...] | None = None  # None: not known
    budgets: tuple[str, ...] | None = None  # PodDisruptionBudgets of its pods; None: not known
    corefile: Corefile | None = None
    autoscaler: Autoscaler | None = None
    node_local: NodeLocal | None = None
    services: int = 0  # in the whole cluster; 0: not known, since every cluster has some

    @property
    def namespace(self) -> str:
        return self.service.partition("/")[0]

    @property
    def ready(self) -> tuple[Replica, ...]:
        return tuple(r for r in self.replicas or () if r.ready)

    def scale(self) -> dict[str, float]:
        return {"services": float(self.services)} if self.services else {}


class ReplicaTraffic(Struct, frozen=True, kw_only=True):
    """What one CoreDNS did, all per second unless it says otherwise."""

    pod: str = ""  # either of these may be unknown
    address: str = ""
    requests: float
    responses: dict[str, float] = {}  # rcode -> responses: {"NOERROR": 120.5}
    buckets: tuple[tuple[float, float], ...] = ()  # (seconds, responses that took at most that)
    cache_hits: float = 0.0
    cache_requests: float = 0.0
    forwarded: float = 0.0  # queries to upstream servers
    rejected: float = 0.0  # by max_concurrent of the forward plugin
    resident_bytes: int = 0


class CoreDNSTraffic(Fact, frozen=True, kw_only=True):
    replicas: tuple[ReplicaTraffic, ...]
    window_seconds: float
