"""Search lists multiply the DNS queries of the cluster's pods.

With `ndots:5` an external name walks the whole search list before it is asked as it is: eight
queries where two would do. Each of them looks normal, and together they fill CoreDNS.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from k8sdiag.checks._dns_search_config import TLDS, mistakes
from k8sdiag.checks._dns_search_numbers import metrics, usages
from k8sdiag.checks._dns_search_policy import KYVERNO
from k8sdiag.checks._dns_search_remedy import for_all, for_one
from k8sdiag.checks._dns_search_walk import EXTERNAL, Group, groups, said, walked_by_coredns
from k8sdiag.checks._dns_servers import autopath, on_nodes
from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.kubeletdns import (
    EXPANDED,
    LEGACY,
    UNKNOWN_NODE,
    SearchLimits,
    limits_of,
)
from k8sdiag.model import Finding, Limits, Missing, Said, Severity, Share, Unseen

_Positive = Annotated[float, Meta(gt=0)]


class DnsSearch(Limits, frozen=True, kw_only=True):
    # Of CoreDNS, as a provider states it for its managed ones.
    queries_per_replica: _Positive = 5000.0
    # Where their number is not known: kubeadm's, and EKS's at any size without an autoscaler.
    assumed_replicas: Annotated[int, Meta(ge=1)] = 2
    # Assumed of every pod; the API does not tell. One that dials for each request does more.
    external_lookups_per_second: _Positive = 1.0
    # Workloads with a finding of their own: the largest, if they waste this part of all.
    workloads: Annotated[int, Meta(ge=0)] = 10
    worth_ratio: Share = 0.01
    # One finding for all of them, with an admission policy of Kyverno that sets ndots on new pods.
    kyverno: bool = False
    # Search domains that a node's file may add where it is not known: GKE's are three.
    unknown_domains: Annotated[int, Meta(ge=0)] = 3
    # Top-level domains that a namespace must not be called; `dev` and `app` are left out, as
    # names that too many clusters have.
    top_level_domains: tuple[str, ...] = TLDS


def check(
    pods: Pods,
    cluster: ClusterDNS | Missing,
    node: NodeResolvConf | Missing,
    nodes: Nodes | Missing,
    dns: CoreDNS | Missing,
    limits: DnsSearch,
) -> Iterator[Said]:
    known = ClusterDNS(domain="cluster.local") if isinstance(cluster, Missing) else cluster
    file = UNKNOWN_NODE if isinstance(node, Missing) else node
    bounds = _search_limits(nodes)
    found = groups(pods, known, file, nodes, bounds)
    if not isinstance(dns, Missing) and autopath(dns):
        found = [walked_by_coredns(group, known) for group in found]
    yield from metrics(found)
    yield from usages(found, bounds, file)
    yield from mistakes(found, limits.top_level_domains)
    hidden = False if isinstance(dns, Missing) else on_nodes(dns, cluster)
    if hidden:
        return  # the walks end at NodeLocal DNSCache
    replicas = limits.assumed_replicas if isinstance(dns, Missing) else len(dns.ready)
    replicas = replicas or limits.assumed_replicas  # that none is ready says dns-capacity
    capacity = replicas * limits.queries_per_replica
    asking = [g for g in found if g.asks_cluster]
    rate = limits.external_lookups_per_second
    least = rate * sum(g.pods * g.wasted for g in asking)
    # Each further domain costs a walk both its queries.
    most = rate * sum(g.pods * (g.wasted + 2 * limits.unknown_domains) for g in asking if g.wasted)
    if least >= capacity and hidden is None:
        yield Unseen(
            subject="whether pods ask NodeLocal DNSCache",
            reason=f"else their walks waste {least:,.0f} queries a second of CoreDNS: look into "
            "the resolv.conf of a pod",
        )
    elif least >= capacity:
        yield from _amplified(asking, known, file, bounds, replicas, limits)
    if isinstance(node, Missing) and node.asked and most >= capacity:
        yield Unseen(
            subject="the nodes' own search domains",
            reason=f"each adds two queries to every walk, which go upstream: {node.reason}",
        )


def _search_limits(nodes: Nodes | Missing) -> SearchLimits:
    """Of the oldest kubelet: what it cuts is gone wherever the pod lands there."""
    versions = () if isinstance(nodes, Missing) else nodes.nodes
    old = any(limits_of(n.kubelet) == LEGACY for n in versions if n.os == "linux")
    return LEGACY if old else EXPANDED


def _amplified(
    asking: list[Group],
    cluster: ClusterDNS,
    node: NodeResolvConf,
    bounds: SearchLimits,
    replicas: int,
    limits: DnsSearch,
) -> Iterator[Finding]:
    """The largest wasters each by itself, all others as one: 3,000 findings help nobody."""
    wasting = sorted(
        (g for g in asking if g.wasted), key=lambda g: (-g.pods * g.wasted, g.profile.workload)
    )
    total = sum(g.pods * g.wasted for g in wasting)
    large = [g for g in wasting if g.pods * g.wasted >= limits.worth_ratio * total]
    large = [] if limits.kyverno else large[: limits.workloads]
    for group in large:
        yield Finding(
            code="amplified",
            severity=Severity.WARNING,
            subject=group.profile.workload.subject,
            message=f"its {_count(group.pods, 'pod')} send {said(group.queries)} queries to look "
            f"up {EXTERNAL}, and {min(group.needed.values())} would do: "
            f"ndots:{group.conf.ndots} walks {_count(len(group.conf.searches), 'search domain')} "
            f"first{_upstream(group, node)}; {_assumed(replicas, limits)}",
            observed=float(min(group.queries.values())),
            limit=float(min(group.needed.values())),
            remedy=for_one(group, cluster, node, bounds),
        )
    rest = wasting[len(large) :]
    if rest:
        pods = sum(g.pods for g in rest)
        average = sum(g.pods * min(g.queries.values()) for g in rest) / pods
        yield Finding(
            code="amplified",
            severity=Severity.WARNING,
            subject="cluster",
            message=f"{_count(len(rest), 'more workload' if large else 'workload')} with "
            f"{_count(pods, 'pod')} send "
            f"{average:.3g} queries on average to look up {EXTERNAL}, the largest of them "
            f"{rest[0].profile.workload.subject}; all walks of the cluster together waste "
            f"{total * limits.external_lookups_per_second:,.0f} queries a second; "
            f"{_assumed(replicas, limits)}",
            observed=average,
            limit=2.0,
            remedy=for_all(KYVERNO if limits.kyverno else ""),
        )


def _assumed(replicas: int, limits: DnsSearch) -> str:
    return (
        f"assumed: {limits.external_lookups_per_second:g} such lookups a second in each pod, and "
        f"{limits.queries_per_replica:,.0f} queries a second that each of {replicas} CoreDNS "
        "replicas answers"
    )


def _upstream(group: Group, node: NodeResolvConf) -> str:
    leaving = [domain for domain in node.searches if domain in group.conf.searches]
    if not leaving:
        return ""
    return (
        f"; those of the nodes ({', '.join(leaving)}) leave the cluster: "
        f"{2 * len(leaving)} queries of each walk"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
