"""How many neighbor entries a node needs, and the thresholds that give it room: pure.

An entry in use can't be collected (net/core/neighbour.c), so a table must hold every peer that
a node and its pods talk to at the same time.
"""

from k8sdiag.model import Remedy

# What Amazon Linux, Bottlerocket and AKS ship; such a table takes 8 MiB when it is full.
COMMON_GC_THRESH3 = 16_384
_ENTRIES_PER_POD = 3  # on a routed pod network: the pod's gateway, the gateway's pod, one more


def need(nodes: float, pods_per_node: float) -> float:
    """Entries at once on a node that talks to all the others on one layer-2 network."""
    return nodes + _ENTRIES_PER_POD * pods_per_node


def advised(entries: float) -> int:
    """The gc_thresh3 for so many entries at once: twice as many, as a power of two."""
    return max(4096, 1 << (int(2 * entries) - 1).bit_length())


def raise_to(gc_thresh3: int) -> Remedy:
    """What to type for both families; gc_thresh1 stays, below it nothing is ever aged out."""
    values = {
        f"net.{family}.neigh.default.gc_thresh{which}": value
        for family in ("ipv4", "ipv6")
        for which, value in ((3, gc_thresh3), (2, gc_thresh3 * 3 // 4))
    }
    lines = "".join(f"{key} = {value}\n" for key, value in values.items())
    return Remedy(
        summary=f"raise gc_thresh3 to {gc_thresh3:,} for both families on every node of this "
        "kind: at once with sysctl -w, for the next boot in /etc/sysctl.d",
        commands=tuple(f"sysctl -w {key}={value}" for key, value in values.items()),
        manifest=f"# /etc/sysctl.d/90-neighbor-table.conf\n{lines}",
    )


def is_node(host: str, node: str) -> bool:
    """Whether a host is the node of that name: a cloud may prefer the short or the full name."""
    host, node = host.lower(), node.lower()
    short = {host.partition(".")[0], node.partition(".")[0]}
    return host == node or (len(short) == 1 and bool(short & {host, node}))
