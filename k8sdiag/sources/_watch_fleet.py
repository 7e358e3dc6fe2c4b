"""What Prometheus tells `k8sdiag watch`: a query a signal, over the last minutes."""

import math

from k8sdiag.facts.signals import Fleet
from k8sdiag.readers.prometheus import Prometheus

WINDOW = "3m"  # two samples and more where a scrape comes every minute
NODES = 3  # that are named

_ANSWERS = f"sum(rate(coredns_dns_responses_total[{WINDOW}]))"
_FAILED = f'sum(rate(coredns_dns_responses_total{{rcode="SERVFAIL"}}[{WINDOW}]))'
_SLOWEST = (
    "histogram_quantile(0.99, sum by (le) "
    f"(rate(coredns_dns_request_duration_seconds_bucket[{WINDOW}])))"
)
_REFUSALS = f"increase(k8sdiag_neighbor_table_fulls_total[{WINDOW}])"
_WAITING = 'sum(kube_pod_container_status_waiting_reason{reason=~"ErrImagePull|ImagePullBackOff"})'


def look(reader: Prometheus) -> Fleet:
    """Raises Unavailable when Prometheus can't be asked."""
    gaps = {}
    answers = _one(reader, _ANSWERS)
    if not answers:
        gaps["dns"] = f"{reader.name} has no coredns_dns_responses_total of the last {WINDOW}"
    refusals = reader.instant(_REFUSALS)
    if not refusals:
        gaps["neighbor-table"] = f"{reader.name} scrapes no k8sdiag node exporter"
    by_node: dict[str, float] = {}
    for labels, value in refusals:
        name = labels.get("node") or labels.get("instance", "")
        by_node[name] = by_node.get(name, 0.0) + value
    worst = sorted((n for n in by_node if by_node[n] >= 1), key=lambda n: (-by_node[n], n))
    return Fleet(
        dns_errors=(_one(reader, _FAILED) or 0.0) / answers if answers else None,
        dns_p99_seconds=_one(reader, _SLOWEST),
        refusals=sum(by_node.values()) if refusals else None,
        refusing=tuple(worst[:NODES]),
        waiting_pulls=_one(reader, _WAITING),
        gaps=gaps,
    )


def _one(reader: Prometheus, promql: str) -> float | None:
    """The only number of the answer; None where there is none."""
    found = [value for _, value in reader.instant(promql) if math.isfinite(value)]
    return found[0] if found else None
