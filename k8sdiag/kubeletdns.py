"""The resolv.conf of a pod, as its kubelet writes it: pure, no pod is looked into.

Source: pkg/kubelet/network/dns/dns.go of Kubernetes; the limits stand in
pkg/apis/core/validation/validation.go. Linux only: on Windows none of it holds.
"""

from collections.abc import Iterable

from msgspec import Struct

from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import Profile

MOST_NAMESERVERS = 3
LONGEST_DOMAIN = 253
NDOTS = 5  # of every pod that asks the cluster's DNS, unless its dnsConfig says otherwise


class SearchLimits(Struct, frozen=True):
    domains: int
    characters: int  # of the joined list


EXPANDED = SearchLimits(32, 2048)  # ExpandedDNSConfig: on by default from 1.26, fixed in 1.28
LEGACY = SearchLimits(6, 256)
# For a node whose file is not known: it adds nothing, which makes every count a lower bound.
UNKNOWN_NODE = NodeResolvConf(node="", path="unknown")


def limits_of(kubelet: str) -> SearchLimits:
    """Of a kubelet's version, "v1.36.3"; EXPANDED if that is not known."""
    minor = kubelet.removeprefix("v").split(".")[1:2]
    return LEGACY if minor and minor[0].isdecimal() and int(minor[0]) < 26 else EXPANDED


class PodResolvConf(Struct, frozen=True, kw_only=True):
    """What the limits leave; what they cut is counted."""

    nameservers: tuple[str, ...]
    searches: tuple[str, ...]
    options: tuple[str, ...]
    omitted_nameservers: int = 0
    omitted_searches: int = 0

    @property
    def text(self) -> str:
        lines = [f"nameserver {address}" for address in self.nameservers]
        lines += [f"search {' '.join(self.searches)}"] if self.searches else []
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(line + "\n" for line in lines)

    @property
    def ndots(self) -> int | None:
        """As the file says it, None if it does not: every resolver then takes 1."""
        values = [o.partition(":")[2] for o in self.options if o.startswith("ndots:")]
        return int(values[-1]) if values and values[-1].isdecimal() else None


def asks_cluster(profile: Profile) -> bool:
    """getPodDNSType: on the host's network ClusterFirst means the node's own file."""
    if profile.dns_policy == "ClusterFirst":
        return not profile.host_network
    return profile.dns_policy not in ("Default", "None")


def effective(
    profile: Profile,
    cluster: ClusterDNS,
    node: NodeResolvConf,
    limits: SearchLimits = EXPANDED,
) -> PodResolvConf:
    """GetPodDNS. Unknown servers of the cluster stand as one, not as none."""
    nameservers, searches, options = node.nameservers, node.searches, node.options
    if not node.path:  # resolvConf: "" switches the node's file off
        nameservers, searches = ("127.0.0.1",), (".",)
    if profile.dns_policy == "None":
        nameservers, searches, options = (), (), ()
    elif asks_cluster(profile):
        nameservers, options = cluster.servers or ("cluster-dns",), (f"ndots:{NDOTS}",)
        searches = node.searches
        if cluster.domain:
            services = f"svc.{cluster.domain}"
            own = (f"{profile.workload.namespace}.{services}", services, cluster.domain)
            searches = _unique((*own, *searches))
    if asked := profile.dns_config:
        nameservers = _unique((*nameservers, *asked.nameservers))
        searches = _unique((*searches, *asked.searches))
        options = _merged(options, asked.options)
    kept = _fitting(searches, limits)
    return PodResolvConf(
        nameservers=nameservers[:MOST_NAMESERVERS],
        searches=kept,
        options=options,
        omitted_nameservers=max(0, len(nameservers) - MOST_NAMESERVERS),
        omitted_searches=len(searches) - len(kept),
    )


def parse(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """parseResolvConf: nameservers, searches and options of a node's file.

    The last search line counts, options add up (since 1.32; before, the last line), `domain` is
    not read, and a dot at the end of a domain is dropped, a lone one with it.
    """
    nameservers: list[str] = []
    searches: list[str] = []
    options: dict[str, None] = {}
    for line in text.split("\n"):
        keyword, *fields = line.split() or [""]
        if keyword == "nameserver":
            nameservers += fields[:1]
        elif keyword == "search":
            searches = [bare for field in fields if (bare := field.removesuffix("."))]
        elif keyword == "options":
            options |= dict.fromkeys(fields)
    return tuple(nameservers), tuple(searches), tuple(options)


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _merged(options: Iterable[str], more: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """By name, the pod's value wins. The kubelet's own order is random: here it is stable."""
    values = dict(option.partition(":")[::2] for option in options) | dict(more)
    return tuple(f"{name}:{value}" if value else name for name, value in values.items())


def _fitting(searches: tuple[str, ...], limits: SearchLimits) -> tuple[str, ...]:
    kept = [d for d in searches[: limits.domains] if len(d) <= LONGEST_DOMAIN]
    while len(" ".join(kept)) > limits.characters:
        kept.pop()
    return tuple(kept)
