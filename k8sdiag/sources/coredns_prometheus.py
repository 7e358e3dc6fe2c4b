"""What CoreDNS did in the last minutes, from Prometheus: one query a metric, all replicas."""

import math
from collections.abc import Mapping

from k8sdiag.facts.coredns import CoreDNSTraffic, ReplicaTraffic
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources._coredns_window import (
    CACHE_HITS,
    CACHE_REQUESTS,
    DURATIONS,
    FORWARDED,
    PROXIED,
    PROXY,
    REJECTS,
    REQUESTS,
    RESIDENT,
    RESPONSES,
)

WINDOW_SECONDS = 300.0  # five scrapes, where one a minute is the usual
# NodeLocal DNSCache is a CoreDNS too, one a node, on another port.
NOT_NODE_LOCAL = 'instance!~".*:9253",pod!~"node-local-dns-.*"'
# Of CoreDNS' own labels; those of the target remain.
OWN = "server, zone, zones, view, proto, family, type, plugin, to, proxy_name"
POD_LABELS = ("pod", "kubernetes_pod_name", "pod_name")

Key = tuple[str, str]  # pod, instance
Rates = dict[Key, float]


def collect(reader: Prometheus) -> CoreDNSTraffic:
    """Raises Unavailable when Prometheus knows no CoreDNS."""
    requests = _rates(reader, REQUESTS)
    if not requests:
        raise Unavailable(
            f"{reader.name} knows no {REQUESTS} of the last {WINDOW_SECONDS:g} s: does it scrape "
            "CoreDNS, on port 9153?"
        )
    gaps = {reader.name: "; ".join(reader.warnings)} if reader.warnings else {}
    hits, asked = _rates(reader, CACHE_HITS), _rates(reader, CACHE_REQUESTS)
    old, new = _rates(reader, FORWARDED), _rates(reader, PROXIED, PROXY)
    rejected = _rates(reader, REJECTS)
    responses = _split(reader, RESPONSES, "rcode")
    buckets = _split(reader, DURATIONS, "le")
    ours = f"{REQUESTS}{{{NOT_NODE_LOCAL}}}"
    resident = _by_key(reader.instant(f"{RESIDENT} and on(instance) {ours}"))
    return CoreDNSTraffic(
        replicas=tuple(
            ReplicaTraffic(
                pod=key[0],
                address=_host(key[1]),
                requests=rate,
                responses=dict(sorted(responses.get(key, {}).items())),
                buckets=tuple(sorted((float(le), n) for le, n in buckets.get(key, {}).items())),
                cache_hits=hits.get(key, 0.0),
                cache_requests=asked.get(key, 0.0),
                forwarded=max(old.get(key, 0.0), new.get(key, 0.0)),
                rejected=rejected.get(key, 0.0),
                resident_bytes=int(resident.get(key, 0.0)),
            )
            for key, rate in sorted(requests.items())
        ),
        window_seconds=WINDOW_SECONDS,
        gaps=gaps,
        provenance=f"{reader.name}, the last {WINDOW_SECONDS:g} s",
    )


def _query(metric: str, labels: Mapping[str, str] | None = None, more: str = "") -> str:
    only = "".join(f',{name}="{value}"' for name, value in (labels or {}).items())
    series = f"{metric}{{{NOT_NODE_LOCAL}{only}}}[{WINDOW_SECONDS:g}s]"
    return f"sum without({OWN}{more}) (rate({series}))"


def _rates(reader: Prometheus, metric: str, labels: Mapping[str, str] | None = None) -> Rates:
    return _by_key(reader.instant(_query(metric, labels, ", rcode")))


def _by_key(found: list[tuple[dict[str, str], float]]) -> Rates:
    return {_key(labels): value for labels, value in found if math.isfinite(value)}


def _split(reader: Prometheus, metric: str, label: str) -> dict[Key, dict[str, float]]:
    """Key -> value of the label -> rate."""
    result: dict[Key, dict[str, float]] = {}
    for labels, value in reader.instant(_query(metric)):
        if label in labels:
            result.setdefault(_key(labels), {})[labels[label]] = value
    return result


def _key(labels: Mapping[str, str]) -> Key:
    pod = next((labels[name] for name in POD_LABELS if name in labels), "")
    return pod, labels.get("instance", "")


def _host(instance: str) -> str:
    """Of "10.0.0.7:9153" or "[fd00::7]:9153"."""
    return instance.rpartition(":")[0].strip("[]")
