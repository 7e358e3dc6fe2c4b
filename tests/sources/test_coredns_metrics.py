"""What two looks at a /metrics page say.

The lines with coredns_proxy_* are those of CoreDNS 1.15 (a real one is asked in tests/real); those
with coredns_forward_* have the names and labels of its documentation before 1.11.
"""

import pytest

from k8sdiag.facts.coredns import ReplicaTraffic
from k8sdiag.model import Unavailable
from k8sdiag.sources._coredns_window import between

SERVER = 'server="dns://.:53",view="",zone="."'


def page(
    *, answered: int = 0, missing: int = 0, quick: int = 0, hits: int = 0, forwarded: str = ""
) -> bytes:
    total = answered + missing
    return f"""\
# HELP coredns_dns_requests_total Counter of DNS requests made per zone, protocol and family.
# TYPE coredns_dns_requests_total counter
coredns_dns_requests_total{{family="1",proto="udp",type="A",{SERVER}}} {answered}
coredns_dns_requests_total{{family="1",proto="udp",type="AAAA",{SERVER}}} {missing}
# TYPE coredns_dns_responses_total counter
coredns_dns_responses_total{{plugin="forward",rcode="NOERROR",{SERVER}}} {answered}
coredns_dns_responses_total{{plugin="kubernetes",rcode="NXDOMAIN",{SERVER}}} {missing}
# TYPE coredns_dns_request_duration_seconds histogram
coredns_dns_request_duration_seconds_bucket{{{SERVER},le="0.001"}} {quick}
coredns_dns_request_duration_seconds_bucket{{{SERVER},le="+Inf"}} {total}
# TYPE coredns_cache_hits_total counter
coredns_cache_hits_total{{server="dns://.:53",type="success",view="",zones="."}} {hits}
# TYPE coredns_cache_requests_total counter
coredns_cache_requests_total{{server="dns://.:53",view="",zones="."}} {total}
{forwarded}# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 5.2e+07
""".encode()


def proxied(count: int, by: str = "forward") -> str:
    labels = f'proxy_name="{by}",rcode="NOERROR",to="192.0.2.1:53"'
    return f"coredns_proxy_request_duration_seconds_count{{{labels}}} {count}\n"


def test_rates_of_the_window() -> None:
    first = page(answered=1000, missing=1000, quick=1000, hits=10)
    second = page(answered=1100, missing=1300, quick=1350, hits=60)

    assert between("coredns-1", "10.244.0.2", 10.0, first, second) == ReplicaTraffic(
        pod="coredns-1",
        address="10.244.0.2",
        requests=40.0,
        responses={"NOERROR": 10.0, "NXDOMAIN": 30.0},
        buckets=((0.001, 35.0), (float("inf"), 40.0)),
        cache_hits=5.0,
        cache_requests=40.0,
        resident_bytes=52_000_000,
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            'coredns_forward_requests_total{to="192.0.2.1:53"} 5\n',
            'coredns_forward_requests_total{to="192.0.2.1:53"} 25\n',
            id="before CoreDNS 1.11",
        ),
        pytest.param(
            proxied(5) + proxied(0, "grpc"), proxied(25) + proxied(900, "grpc"), id="from 1.11 on"
        ),
    ],
)
def test_queries_upstream_by_either_name(first: str, second: str) -> None:
    found = between("a", "", 10.0, page(forwarded=first), page(forwarded=second))

    assert found.forwarded == 2.0


def test_what_max_concurrent_refused() -> None:
    rejects = "coredns_forward_max_concurrent_rejects_total {}\n"

    found = between(
        "a", "", 10.0, page(forwarded=rejects.format(1)), page(forwarded=rejects.format(4))
    )

    assert found.rejected == pytest.approx(0.3)


def test_a_label_that_came_between_the_looks_began_at_nothing() -> None:
    refused = f'coredns_dns_responses_total{{plugin="",rcode="REFUSED",{SERVER}}} 30\n'

    found = between("a", "", 10.0, page(), page(forwarded=refused))

    assert found.responses["REFUSED"] == 3.0


def test_a_replica_that_was_started_anew_tells_nothing() -> None:
    with pytest.raises(Unavailable, match="started anew between two looks"):
        between("a", "", 10.0, page(answered=9), page(answered=1))


@pytest.mark.parametrize("text", [b"", b"<html>", b"coredns_dns_requests_total{x 1\n", b"\xff\n"])
def test_a_page_of_something_else(text: bytes) -> None:
    with pytest.raises(Unavailable, match="/metrics: not the page of a CoreDNS"):
        between("a", "", 10.0, text, text)
