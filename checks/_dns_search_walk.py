"""What a lookup costs each group of pods, by the resolver model."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import DNSConfig, Pods, Profile
from k8sdiag.kubeletdns import PodResolvConf, SearchLimits, asks_cluster, effective
from k8sdiag.model import Missing
from k8sdiag.resolver import predict

EXTERNAL = "www.example.com"
# The C library or runtime of an image is not told by the API: what differs is said for each.
RESOLVERS = {"glibc": "glibc", "musl": "musl", "go": "Go"}
ENDED = ("Succeeded", "Failed")


class Group(Struct, frozen=True, kw_only=True):
    """The pods of one workload whose resolv.conf is made alike."""

    profile: Profile
    pods: int
    conf: PodResolvConf
    asks_cluster: bool
    queries: Mapping[str, int]  # resolver -> packets of one lookup of EXTERNAL, A and AAAA
    needed: Mapping[str, int]  # the same with a dot at its end

    @property
    def wasted(self) -> int:
        """Queries that a lookup could do without, whatever the resolver."""
        return min(self.queries[r] - self.needed[r] for r in RESOLVERS)

    @property
    def musl(self) -> bool:
        """A guess from image names: Alpine's C library is musl."""
        return any("alpine" in c.image for c in self.profile.containers if not c.init)

    @property
    def ndots_bucket(self) -> str:
        ndots = 1 if self.conf.ndots is None else self.conf.ndots
        return str(ndots) if ndots <= 5 else "more"

    @property
    def domains(self) -> int:
        return len(self.conf.searches) + self.conf.omitted_searches

    @property
    def characters(self) -> int:
        return len(" ".join(self.conf.searches))

    @property
    def nameservers(self) -> int:
        return len(self.conf.nameservers) + self.conf.omitted_nameservers

    @property
    def adds_servers(self) -> bool:
        return bool(self.profile.dns_config and self.profile.dns_config.nameservers)


def groups(
    pods: Pods,
    cluster: ClusterDNS,
    node: NodeResolvConf,
    nodes: Nodes | Missing,
    limits: SearchLimits,
) -> list[Group]:
    counts: Counter[tuple[object, ...]] = Counter()
    of: dict[tuple[object, ...], Profile] = {}
    for profile, number in _running(pods, nodes):
        dns = (profile.dns_policy, profile.dns_config or DNSConfig(), profile.host_network)
        key = (profile.workload, *dns)
        counts[key] += number
        of.setdefault(key, profile)
    return [
        _group(of[key], number, cluster, effective(of[key], cluster, node, limits))
        for key, number in counts.items()
    ]


def walked_by_coredns(group: Group, cluster: ClusterDNS) -> Group:
    """The group where CoreDNS' autopath is on: it walks for a pod that begins at its namespace.

    Not for pods with the node's address, whose namespace it can't know.
    """
    own = f"{group.profile.workload.namespace}.svc.{cluster.domain}"
    if group.profile.host_network or group.conf.searches[:1] != (own,):
        return group
    return replace(group, queries=group.needed)


def _running(pods: Pods, nodes: Nodes | Missing) -> list[tuple[Profile, int]]:
    """Profiles and how many pods have them; none that ended, none on Windows.

    On Windows the kubelet writes no resolv.conf, and its resolver has rules of its own.
    """
    listed = () if isinstance(nodes, Missing) else nodes.nodes
    windows = {n.name for n in listed if n.os == "windows"}
    skipped = {i for i, name in enumerate(pods.nodes) if name in windows}
    if skipped:
        pairs = zip(*pods.columns(), strict=True)
        counts: Mapping[int, int] = Counter(p for p, n in pairs if n not in skipped)
    else:
        counts = pods.counts()
    return [
        (pods.profiles[i], number)
        for i, number in sorted(counts.items())
        if pods.profiles[i].phase not in ENDED
    ]


def _group(profile: Profile, pods: int, cluster: ClusterDNS, conf: PodResolvConf) -> Group:
    return Group(
        profile=profile,
        pods=pods,
        conf=conf,
        # Also a pod of policy None that names the cluster's servers itself.
        asks_cluster=asks_cluster(profile) or bool({*conf.nameservers} & {*cluster.servers}),
        queries=packets(conf.text, EXTERNAL),
        needed=packets(conf.text, EXTERNAL + "."),
    )


@lru_cache(maxsize=8192)
def packets(conf: str, name: str) -> Mapping[str, int]:
    """Resolver -> queries of one lookup where EXTERNAL exists and nothing else does."""
    return {
        resolver: len(predict(conf, name, _only_external, resolver=resolver).queries)
        for resolver in RESOLVERS
    }


def _only_external(qname: str, *_: object) -> str:
    return "ok" if qname == EXTERNAL + "." else "nxdomain"


def said(queries: Mapping[str, int]) -> str:
    """One number, or each with the resolvers that it is of: "8 (glibc, Go) or 24 (musl)"."""
    if len(set(queries.values())) == 1:
        return str(next(iter(queries.values())))
    by_number: dict[int, list[str]] = {}
    for resolver, number in queries.items():
        by_number.setdefault(number, []).append(RESOLVERS[resolver])
    return " or ".join(f"{n} ({', '.join(names)})" for n, names in sorted(by_number.items()))
