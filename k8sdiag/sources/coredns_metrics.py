"""What CoreDNS does now: its /metrics through the API server, twice some seconds apart."""

import time

from k8sdiag.facts.coredns import CoreDNSTraffic, Replica, ReplicaTraffic
from k8sdiag.model import NotAsked, Permission, Unavailable
from k8sdiag.readers.api import Forbidden
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources._coredns import PLACES, PODS, Place, named, replicas, service
from k8sdiag.sources._coredns_window import between

PROXY = Permission(resource="pods/proxy", verb="get", namespace="kube-system")
PERMISSIONS = (*(named(p, "services", p.service) for p in PLACES), PODS, PROXY)
RANK = 1  # Prometheus has longer windows, and asks nothing of the API server
PORT = 9153  # of the prometheus plugin, in every Corefile that we know

# The API server's own limits do not hold for what it proxies: we go easy by ourselves.
MOST = 20  # replicas; a cluster of 5,000 nodes has 313, and the Service spreads queries evenly
PAUSE_SECONDS = 0.1
SECONDS = 5.0  # for one answer


def collect(reader: Kubernetes) -> CoreDNSTraffic:
    """Raises NotAsked when nobody wants it, Unavailable when no replica tells."""
    if not reader.coredns_metrics:
        raise NotAsked(
            "CoreDNS' metrics were not read: add --coredns-metrics=proxy (it needs pods/proxy in "
            "kube-system) or --prometheus URL"
        )
    place, found = service(reader)
    gaps: dict[str, str] = {}
    ready = [r for r in replicas(reader, place, found.spec.selector) if r.ready]
    first = _look(reader, place, ready[:MOST], gaps)
    if first:
        time.sleep(reader.coredns_seconds)
    second = _look(reader, place, [r for r in ready[:MOST] if r.pod in first], gaps)
    traffic: list[ReplicaTraffic] = []
    for replica in ready:
        if replica.pod in second:
            (asked, before), (again, after) = first[replica.pod], second[replica.pod]
            address = next(iter(replica.addresses), "")
            try:
                traffic.append(between(replica.pod, address, again - asked, before, after))
            except Unavailable as error:
                gaps[f"pod/{replica.pod}"] = str(error)
    if not traffic:
        raise Unavailable(next(iter(gaps.values()), "no DNS server is ready to be asked"))
    return CoreDNSTraffic(
        replicas=tuple(traffic),
        window_seconds=reader.coredns_seconds,
        gaps=gaps,
        provenance=f"/metrics of {len(traffic)} of {len(ready)} replicas through the API server, "
        f"twice within {reader.coredns_seconds:g} s",
    )


def _look(
    reader: Kubernetes, place: Place, chosen: list[Replica], gaps: dict[str, str]
) -> dict[str, tuple[float, bytes]]:
    """Pod -> when it was asked, and its page."""
    pages = {}
    for replica in chosen:
        path = f"/api/v1/namespaces/{place.namespace}/pods/{replica.pod}:{PORT}/proxy/metrics"
        asked = time.monotonic()
        try:
            pages[replica.pod] = (asked, reader.get(path, PROXY, timeout_seconds=SECONDS))
        except Forbidden:
            raise  # the same for every pod
        except Unavailable as error:
            gaps[f"pod/{replica.pod}"] = str(error)
        time.sleep(PAUSE_SECONDS)
    return pages
