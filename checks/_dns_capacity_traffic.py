"""What the replicas of the cluster's DNS did, all together."""

from collections.abc import Iterator
from functools import cached_property

from k8sdiag import histogram
from k8sdiag.facts.coredns import CoreDNS, CoreDNSTraffic, ReplicaTraffic
from k8sdiag.model import Metric


class Load:
    """The traffic of this cluster's replicas, as rates over all of them."""

    def __init__(self, dns: CoreDNS, traffic: CoreDNSTraffic) -> None:
        self.traffic = traffic
        self.seen = [t for t in traffic.replicas if node_of(dns, t) is not None]
        self.replicas = max(len(dns.ready), len(self.seen))

    @cached_property
    def queries(self) -> float:
        """Replicas that were not asked have as many: the Service spreads queries evenly."""
        return sum(t.requests for t in self.seen) * self.replicas / len(self.seen)

    @cached_property
    def answered(self) -> float:
        """Responses that were counted in the window, of the replicas that were asked."""
        rates = sum(rate for t in self.seen for rate in t.responses.values())
        return rates * self.traffic.window_seconds

    def share(self, *rcodes: str) -> float:
        every = sum(rate for t in self.seen for rate in t.responses.values())
        return (
            sum(t.responses.get(r, 0.0) for t in self.seen for r in rcodes) / every
            if every
            else 0.0
        )

    @cached_property
    def p99_seconds(self) -> float | None:
        """As histogram_quantile gives it, of all replicas together."""
        sums: dict[float, float] = {}
        for bound, rate in (bucket for t in self.seen for bucket in t.buckets):
            sums[bound] = sums.get(bound, 0.0) + rate
        return histogram.quantile(0.99, tuple(sums.items()))

    @cached_property
    def cache_hits(self) -> float | None:
        asked = sum(t.cache_requests for t in self.seen)
        return sum(t.cache_hits for t in self.seen) / asked if asked else None

    @cached_property
    def forwarded(self) -> float:
        """The part of the queries that goes upstream."""
        asked = sum(t.requests for t in self.seen)
        return sum(t.forwarded for t in self.seen) / asked if asked else 0.0

    @cached_property
    def rejected(self) -> float:
        return sum(t.rejected for t in self.seen)

    @cached_property
    def resident_bytes(self) -> int:
        return max((t.resident_bytes for t in self.seen), default=0)


def node_of(dns: CoreDNS, traffic: ReplicaTraffic) -> str | None:
    """Its node; "" if not known, None for another cluster's or another DNS server."""
    if dns.replicas is None:
        return ""
    for replica in dns.replicas:
        if replica.pod == traffic.pod or (not traffic.pod and traffic.address in replica.addresses):
            return replica.node
    return None


def metrics(load: Load) -> Iterator[Metric]:
    for name, help_, value in (
        ("dns_queries_per_second", "Queries to the cluster's DNS servers.", load.queries),
        ("dns_nxdomain_ratio", "NXDOMAIN among their responses.", load.share("NXDOMAIN")),
        ("dns_servfail_ratio", "SERVFAIL among their responses.", load.share("SERVFAIL")),
        ("dns_p99_seconds", "99 % of their responses take at most this.", load.p99_seconds),
        ("dns_cache_hit_ratio", "Lookups in their cache that found something.", load.cache_hits),
    ):
        if value is not None:
            yield Metric(name=name, help=help_, value=value)
