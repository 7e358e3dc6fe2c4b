"""The numbers of dns-search that are no findings."""

from collections.abc import Iterator

from k8sdiag.checks._dns_search_walk import Group
from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.kubeletdns import MOST_NAMESERVERS, SearchLimits
from k8sdiag.model import Metric, Usage


def metrics(found: list[Group]) -> Iterator[Metric]:
    pods: dict[tuple[str, str], int] = {}
    worst: dict[str, int] = {}
    for group in found:
        policy = group.profile.dns_policy
        key = (policy, group.ndots_bucket)
        pods[key] = pods.get(key, 0) + group.pods
        worst[policy] = max(worst.get(policy, 0), *group.queries.values())
    for (policy, ndots), count in sorted(pods.items()):
        yield Metric(
            name="dns_pods",
            help="Pods by their dnsPolicy and the ndots of their resolv.conf.",
            value=float(count),
            labels={"dns_policy": policy, "ndots": ndots},
        )
    for policy, queries in sorted(worst.items()):
        yield Metric(
            name="dns_worst_case_queries_per_lookup",
            help="Queries that a lookup of an external name costs at most, in any resolver.",
            value=float(queries),
            labels={"dns_policy": policy},
        )


def usages(found: list[Group], bounds: SearchLimits, node: NodeResolvConf) -> Iterator[Usage]:
    """The kubelet's limits, each by the workload that is closest."""
    without = "" if node.node else ", without the nodes' own domains, which are not known"
    # A node with three nameservers is full for good; only what a pod adds can overflow.
    adding = [g for g in found if g.adds_servers]
    for limit_id, unit, limit, among in (
        ("dns-search-domains", "domains", bounds.domains, found),
        ("dns-search-characters", "characters", bounds.characters, found),
        ("dns-nameservers", "nameservers", MOST_NAMESERVERS, adding),
    ):
        worst = max(
            among, key=lambda g: (getattr(g, unit), g.pods, g.profile.workload), default=None
        )
        if worst is None:
            continue
        yield Usage(
            limit_id=limit_id,
            subject=worst.profile.workload.subject,
            used=float(getattr(worst, unit)),
            limit=float(limit),
            unit=unit,
            driver="configuration",
            source=f"resolv.conf by the kubelet's rules{without}; limits of the kubelet",
        )
