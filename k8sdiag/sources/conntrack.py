"""How full the connection tracking table of the node's own network namespace is.

Each namespace has a table of its own under the same limit, which only the initial one can set:
a pod reads the node's limit but its own count (net/netfilter/nf_conntrack_standalone.c).
"""

import time

from k8sdiag.facts.kernel import Conntrack
from k8sdiag.readers.host import Absent, Host
from k8sdiag.sources._stat import per_cpu

_SYSCTL = "/proc/sys/net/netfilter"


def collect(host: Host) -> Conntrack:
    try:
        limit = host.number(f"{_SYSCTL}/nf_conntrack_max")
    except Absent:
        # Every network namespace of every kernel has the other one.
        if host.has("/proc/sys/net/core/somaxconn"):
            return Conntrack(host=host.name, limit=None, provenance="nf_conntrack is not loaded")
        raise
    network = host.network
    try:
        entries, drops = _stat(host, network)
    except Absent:  # a kernel without CONFIG_NF_CONNTRACK_PROCFS, as Debian's
        if not host.own_network:
            raise
        entries, drops = host.number(f"{_SYSCTL}/nf_conntrack_count"), None
        network = _SYSCTL
    delta = None
    if drops and host.own_kernel and host.look_seconds:
        time.sleep(host.look_seconds)
        entries, later = _stat(host, network)
        delta = later - drops
        drops = later
    return Conntrack(
        host=host.name,
        limit=limit,
        entries=entries,
        drops=drops,
        drops_delta=0 if drops == 0 else delta,
        look_seconds=0.0 if delta is None else host.look_seconds,
        provenance=f"{host.path(network)} and nf_conntrack_max",
    )


def _stat(host: Host, network: str) -> tuple[int, int]:
    """Entries, and packets dropped since boot."""
    rows = per_cpu(host.read(f"{network}/stat/nf_conntrack"), "stat/nf_conntrack")
    return rows[0]["entries"], sum(row.get("drop", 0) for row in rows)
