"""What the cluster's DNS servers do with a walk through a search list."""

from k8sdiag.facts.coredns import CoreDNS, ServerBlock
from k8sdiag.facts.dns import ClusterDNS
from k8sdiag.model import Missing


def servers(dns: CoreDNS) -> tuple[ServerBlock, ...]:
    return dns.corefile.servers if dns.corefile else ()


def verifies_pods(server: ServerBlock) -> bool:
    return any(("pods", "verified") in k.options for k in server.named("kubernetes"))


def walks(server: ServerBlock) -> bool:
    return any(plugin.args[-1:] == ("@kubernetes",) for plugin in server.named("autopath"))


def autopath(dns: CoreDNS) -> bool:
    """Whether CoreDNS walks the search list for its clients: two queries a lookup.

    It must know whose address asks, so it needs `pods verified` and clients that ask it directly.
    """
    local = dns.node_local is not None and dns.node_local.ready > 0
    return not local and any(verifies_pods(s) and walks(s) for s in servers(dns))


def on_nodes(dns: CoreDNS, cluster: ClusterDNS | Missing) -> bool | None:
    """Whether NodeLocal DNSCache takes the queries of pods; None: it runs, and nobody tells."""
    local = dns.node_local
    if local is None or not local.ready:
        return False
    asked = () if isinstance(cluster, Missing) else cluster.servers
    if {*local.addresses} & {*dns.addresses, *asked}:
        return True
    known = not isinstance(cluster, Missing) and cluster.configured and bool(local.addresses)
    return False if known else None
