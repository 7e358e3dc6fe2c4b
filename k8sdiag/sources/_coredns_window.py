"""What a CoreDNS did between two looks at its /metrics."""

from collections import defaultdict

from k8sdiag import histogram
from k8sdiag.facts.coredns import ReplicaTraffic
from k8sdiag.model import Unavailable
from k8sdiag.readers.exposition import samples

REQUESTS = "coredns_dns_requests_total"
RESPONSES = "coredns_dns_responses_total"
DURATIONS = "coredns_dns_request_duration_seconds_bucket"
CACHE_HITS = "coredns_cache_hits_total"
CACHE_REQUESTS = "coredns_cache_requests_total"
REJECTS = "coredns_forward_max_concurrent_rejects_total"
# The same number under the name of each generation: before CoreDNS 1.11 and from it on, where
# other plugins have it as well.
FORWARDED = "coredns_forward_requests_total"
PROXIED = "coredns_proxy_request_duration_seconds_count"
PROXY = {"proxy_name": "forward"}
RESIDENT = "process_resident_memory_bytes"
COUNTERS = (REQUESTS, CACHE_HITS, CACHE_REQUESTS, REJECTS, FORWARDED, PROXIED)


def between(pod: str, address: str, seconds: float, first: bytes, second: bytes) -> ReplicaTraffic:
    """Raises Unavailable for pages that are none, and when it was started anew in between."""
    before, after = _Page(first), _Page(second)
    buckets = histogram.between(before.buckets, after.buckets)
    if any(after.counts[n] < before.counts[n] for n in COUNTERS) or (after.buckets and not buckets):
        raise Unavailable("it was started anew between two looks")

    def rate(name: str) -> float:
        return (after.counts[name] - before.counts[name]) / seconds

    return ReplicaTraffic(
        pod=pod,
        address=address,
        requests=rate(REQUESTS),
        responses={
            rcode: (count - before.responses[rcode]) / seconds
            for rcode, count in sorted(after.responses.items())
        },
        buckets=tuple((bound, count / seconds) for bound, count in buckets),
        cache_hits=rate(CACHE_HITS),
        cache_requests=rate(CACHE_REQUESTS),
        forwarded=max(rate(FORWARDED), rate(PROXIED)),
        rejected=rate(REJECTS),
        resident_bytes=int(after.counts[RESIDENT]),
    )


class _Page:
    """Its numbers over all servers, zones and types."""

    def __init__(self, page: bytes) -> None:
        self.counts: dict[str, float] = defaultdict(float)
        self.responses: dict[str, float] = defaultdict(float)
        found: dict[float, float] = defaultdict(float)
        try:
            for sample in samples(page, *COUNTERS, RESPONSES, DURATIONS, RESIDENT):
                if sample.name == RESPONSES:
                    self.responses[sample.labels["rcode"]] += sample.value
                elif sample.name == DURATIONS:
                    found[float(sample.labels["le"])] += sample.value
                elif sample.name != PROXIED or sample.labels.items() >= PROXY.items():
                    self.counts[sample.name] += sample.value
        except (ValueError, KeyError) as error:
            raise Unavailable(f"/metrics: not the page of a CoreDNS: {error}") from error
        if REQUESTS not in self.counts and RESIDENT not in self.counts:
            raise Unavailable("/metrics: not the page of a CoreDNS")
        self.buckets = tuple(sorted(found.items()))
