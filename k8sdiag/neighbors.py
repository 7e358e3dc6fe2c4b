"""How many neighbor entries a node needs, and the thresholds that give it room: pure.

An entry in use can't be collected (net/core/neighbour.c), so a table must hold every peer that
a node and its pods talk to at the same time. How many that are, the pod network decides.
"""

from collections.abc import Iterable

from msgspec import Struct

from k8sdiag import sysctl
from k8sdiag.facts.neighbor import NeighborTable
from k8sdiag.facts.nodes import Node
from k8sdiag.model import Remedy

FAMILIES = ("ipv4", "ipv6")
# What Amazon Linux, Bottlerocket and AKS ship; such a table takes 8 MiB when it is full.
COMMON_GC_THRESH3 = 16_384
_ENTRIES_PER_POD = 3  # on a routed pod network: the pod's gateway, the gateway's pod, one more
_SUBNET = 16_384  # a flat network's subnet has rarely more addresses: a /18

# The DaemonSet of a pod network -> what its pods see of each other. "bridge": all pods of a node
# on one layer 2. "flat": pods have addresses of the nodes' own network, and are reused.
# Everywhere else a pod sees its gateway: "routed", or "VXLAN" where an overlay joins the nodes,
# whose own entries, one for each peer, are permanent or extern_learn and do not count.
NETWORKS = {
    "aws-node": "flat",
    "azure-cns": "flat",
    "terway-eniip": "flat",
    "kube-flannel": "bridge",
    "kube-flannel-ds": "bridge",
    "weave-net": "bridge",
    "calico-node": "routed",
    "kindnet": "routed",
    "kube-router": "routed",
    "antrea-agent": "VXLAN",
    "canal": "VXLAN",
    "cilium": "VXLAN",
}


class Network(Struct, frozen=True):
    kind: str = ""  # "bridge", "routed", "VXLAN", "flat"; "" is unknown
    daemonset: str = ""  # by whose name it was guessed; its settings may say otherwise

    def __str__(self) -> str:
        return f"{self.kind} network (a guess by the DaemonSet {self.daemonset})"


class Need(Struct, frozen=True):
    """Entries at once on one node; what the nodes bring grows with the cluster."""

    network: Network
    nodes: float  # one for each node, where all are on one layer-2 network
    pods: float  # of the node's own pods, as they usually talk
    most: float  # of all, when each talks to each that it can see

    @property
    def usual(self) -> float:
        return self.nodes + self.pods


def network(daemonsets: Iterable[str]) -> Network:
    """The pod network that these DaemonSets tell of; of an unknown kind where several differ."""
    found = {NETWORKS[name]: name for name in sorted(daemonsets) if name in NETWORKS}
    return Network(*next(iter(found.items()))) if len(found) == 1 else Network()


def need(network: Network, nodes: float, pods_per_node: float) -> Need:
    pods = _ENTRIES_PER_POD * pods_per_node
    most = nodes + pods
    if network.kind == "bridge":  # each pod has an entry for each other, and the node one for each
        most = nodes + pods_per_node * (pods_per_node + 1)
    elif network.kind == "flat":  # the node talks to pods of other nodes without a gateway between
        most = nodes + pods + min(_SUBNET, nodes * pods_per_node)
    return Need(network=network, nodes=nodes, pods=pods, most=most)


def advised(entries: float) -> int:
    """The gc_thresh3 for so many entries at once: twice as many, as a power of two.

    And the common one at least, so that no two findings ask for different ones on most nodes.
    """
    return max(COMMON_GC_THRESH3, 1 << (int(2 * entries) - 1).bit_length())


def raise_to(gc_thresh3: int, tables: Iterable[NeighborTable]) -> Remedy:
    """What to type for both families of a host with these tables; none is ever lowered.

    What is large enough stands in the file too, for that may replace the one which sets it.
    gc_thresh1 stays: below it nothing is ever aged out.
    """
    enough = {
        t.family: (t.gc_thresh3, t.gc_thresh2)
        for t in tables
        if t.gc_thresh2 and t.gc_thresh3 and t.gc_thresh3 >= gc_thresh3 and rising(t)
    }
    values = {}
    for family in FAMILIES:
        third, second = enough.get(family, (gc_thresh3, gc_thresh3 * 3 // 4))
        values[f"net.{family}.neigh.default.gc_thresh3"] = third
        values[f"net.{family}.neigh.default.gc_thresh2"] = second
    low = [family for family in FAMILIES if family not in enough]
    whose = "both families" if len(low) > 1 else f"net.{low[0]}, and keep the other family's,"
    return setting(
        values, f"raise gc_thresh3 to {gc_thresh3:,} for {whose} on every node of this kind"
    )


def rising(table: NeighborTable) -> bool:
    """Whether its thresholds are in the only order in which they work, as far as known."""
    values = (table.gc_thresh1, table.gc_thresh2, table.gc_thresh3)
    known = [value for value in values if value is not None]
    return known == sorted(known)


def setting(values: dict[str, int], what: str) -> Remedy:
    return sysctl.setting(values, what, "neighbor-table")


class Places:
    """Finds the node that a host name, or an address, stands for."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._by_name: dict[str, Node] = {}
        self._by_short: dict[str, Node | None] = {}
        self._families: set[str] = set()
        for node in nodes:
            name = node.name.lower()
            self._by_name |= dict.fromkeys((name, *node.addresses), node)
            self._families |= {"ipv6" if ":" in each else "ipv4" for each in node.addresses}
            short = name.partition(".")[0]
            self._by_short[short] = None if short in self._by_short else node

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def lack(self, family: str) -> bool:
        """Whether the nodes are known to have addresses, and none of this family."""
        return bool(self._families) and family not in self._families

    def find(self, host: str) -> Node | None:
        """A cloud may prefer the short or the full name, as is_node() says."""
        host = host.lower()
        node = self._by_name.get(host) or self._by_short.get(host.partition(".")[0])
        found = node and (host in node.addresses or is_node(host, node.name))
        return node if found else None


def is_node(host: str, node: str) -> bool:
    """Whether a host is the node of that name: a cloud may prefer the short or the full name."""
    host, node = host.lower(), node.lower()
    short = {host.partition(".")[0], node.partition(".")[0]}
    return host == node or (len(short) == 1 and bool(short & {host, node}))
