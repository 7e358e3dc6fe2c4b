"""The cluster's DNS servers are too few, or not set up for what they have to answer.

Two replicas come with a new cluster, and nothing adds to them. Search lists multiply what every
pod asks, so they fill long before anybody counts queries.
"""

from collections.abc import Iterator

from k8sdiag.checks import _dns_capacity_corefile as corefile
from k8sdiag.checks import _dns_capacity_load as loads
from k8sdiag.checks import _dns_capacity_node_local as node_local
from k8sdiag.checks import _dns_capacity_remedy as remedy
from k8sdiag.checks import _dns_capacity_replicas as replicas
from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks._dns_capacity_traffic import Load, metrics
from k8sdiag.checks._dns_search_walk import groups
from k8sdiag.checks._dns_servers import autopath, on_nodes
from k8sdiag.facts.coredns import CoreDNS, CoreDNSTraffic
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.kubeletdns import EXPANDED, UNKNOWN_NODE
from k8sdiag.model import Metric, Missing, Said, Unseen


def check(
    dns: CoreDNS,
    traffic: CoreDNSTraffic | Missing,
    nodes: Nodes | Missing,
    pods: Pods | Missing,
    cluster: ClusterDNS | Missing,
    node: NodeResolvConf | Missing,
    limits: DnsCapacity,
) -> Iterator[Said]:
    yield from replicas.judge(dns, nodes, limits)
    yield from corefile.judge(dns, node, limits)
    yield from node_local.judge(dns, nodes, cluster, limits)
    load = None if isinstance(traffic, Missing) else Load(dns, traffic)
    count = None if isinstance(pods, Missing) else len(pods)
    if load and load.seen:
        domain = "cluster.local" if isinstance(cluster, Missing) else cluster.domain
        version = "" if isinstance(nodes, Missing) else nodes.server
        mend = remedy.node_local(dns, domain, version)
        yield from metrics(load)
        yield loads.usage(dns, load.queries, load.replicas, load.traffic.provenance, limits)
        yield from loads.judge(dns, load, mend, limits)
        yield from loads.upstream(dns, load, nodes, mend, limits)
        measured = load.traffic.provenance
        yield from replicas.memory(dns, count, load.resident_bytes, measured, limits)
        return
    yield from replicas.memory(dns, count, 0, "", limits)
    if load:
        yield Unseen(
            subject="the load of the DNS servers",
            reason=f"none of the {len(load.traffic.replicas)} CoreDNS that "
            f"{load.traffic.provenance} tells of is a pod of Service {dns.service}",
        )
    yield from _predicted(dns, pods, cluster, node, traffic, limits)


def _predicted(
    dns: CoreDNS,
    pods: Pods | Missing,
    cluster: ClusterDNS | Missing,
    node: NodeResolvConf | Missing,
    traffic: CoreDNSTraffic | Missing,
    limits: DnsCapacity,
) -> Iterator[Said]:
    """Without metrics: what one lookup of an external name in each pod costs, by the model."""
    if isinstance(pods, Missing) and isinstance(traffic, Missing) and not traffic.asked:
        if pods.asked:  # both are told by the number of pods where they are not measured
            subject = "the load and the memory of the DNS servers"
            yield Unseen(subject=subject, reason=pods.reason)
        return
    if isinstance(pods, Missing) or not dns.ready:
        yield from _unmeasured(traffic)
        return
    known = ClusterDNS(domain="cluster.local") if isinstance(cluster, Missing) else cluster
    file = UNKNOWN_NODE if isinstance(node, Missing) else node
    walked = autopath(dns)
    queries = limits.lookups_per_pod * sum(
        group.pods * min((group.needed if walked else group.queries).values())
        for group in groups(pods, known, file, Missing(reason=""), EXPANDED)
        if group.asks_cluster
    )
    hidden = on_nodes(dns, cluster) is not False  # where that is not known, it may
    if not hidden:
        # A number and no usage: a limit that an assumption says is passed must not lead a report.
        yield Metric(
            name="dns_predicted_queries_per_second",
            help="What the DNS servers would answer if each pod looked up as many external names a "
            "second as dns-capacity assumes; present only where their own metrics are not read.",
            value=queries,
        )
    capacity = len(dns.ready) * limits.queries_per_replica
    told = ""
    if queries >= limits.busy_ratio * capacity:
        told = (
            f"{limits.lookups_per_pod:g} lookups of external names a second in each pod would be "
            f"{queries:,.0f} queries a second" + (" with autopath on" if walked else "")
        )
        told += "; NodeLocal DNSCache answers a part of it" if hidden else ""
    yield from _unmeasured(traffic, told)


def _unmeasured(traffic: CoreDNSTraffic | Missing, told: str = "") -> Iterator[Unseen]:
    """Where it may be too much by what is `told`, and where the user wanted it to be measured."""
    if isinstance(traffic, Missing) and (told or traffic.asked):
        reason = f"it is not measured ({told}): {traffic.reason}" if told else traffic.reason
        yield Unseen(subject="the load of the DNS servers", reason=reason)
