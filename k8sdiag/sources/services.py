"""Services and the ranges of their addresses, from the Kubernetes API."""

import ipaddress
from collections import Counter

import msgspec
from msgspec import Struct

from k8sdiag.facts.cluster import Services
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes, NotFound

LIST = Permission(resource="services")
RANGES = Permission(resource="servicecidrs", group="networking.k8s.io")  # Kubernetes 1.33 on
PERMISSIONS = (LIST, RANGES)


class _Metadata(Struct, gc=False):
    namespace: str


class _Spec(Struct, rename="camel", gc=False):
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: list[str] = msgspec.field(name="clusterIPs", default_factory=list)


class _Service(Struct, gc=False):
    metadata: _Metadata
    spec: _Spec


class _Range(Struct, gc=False):
    class Spec(Struct, gc=False):
        cidrs: list[str] = []

    spec: Spec


def collect(reader: Kubernetes) -> Services:
    counts: Counter[str] = Counter()
    addresses: Counter[str] = Counter()
    gaps = {}
    pages = reader.pages("/api/v1/services", _Service, LIST)
    try:
        for page in pages:
            for service in page:
                counts[service.metadata.namespace] += 1
                for address in service.spec.cluster_ips or [service.spec.cluster_ip]:
                    if address not in ("", "None"):
                        addresses[family(address)] += 1
    except Incomplete as error:
        gaps["services"] = str(error)
    return Services(
        by_namespace=dict(sorted(counts.items())),
        cluster_ips=dict(sorted(addresses.items())),
        ranges=_ranges(reader),
        gaps=gaps,
        provenance=pages.provenance,
    )


def _ranges(reader: Kubernetes) -> tuple[str, ...]:
    """The service CIDRs; none where the server is too old to tell or may not be asked."""
    try:
        path = "/apis/networking.k8s.io/v1/servicecidrs"
        return tuple(
            c for page in reader.pages(path, _Range, RANGES) for r in page for c in r.spec.cidrs
        )
    except (NotFound, Unavailable):
        return ()


def family(address: str) -> str:
    return f"ipv{ipaddress.ip_address(address).version}"
