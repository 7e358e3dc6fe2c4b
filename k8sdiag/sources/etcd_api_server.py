"""The size of etcd's database as the API server's /metrics has it: no etcd certificate needed."""

import math

from k8sdiag.facts.etcd import EtcdSeenByAPIServer
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.exposition import samples
from k8sdiag.readers.kubernetes import METRICS, Kubernetes

PERMISSIONS = (METRICS,)

# The same number under the name of each Kubernetes version: 1.28 on, 1.26 on, before.
NAMES = (
    "apiserver_storage_size_bytes",
    "apiserver_storage_db_total_size_in_bytes",
    "etcd_db_total_size_in_bytes",
)
LABELS = ("storage_cluster_id", "cluster", "endpoint")


def collect(reader: Kubernetes) -> EtcdSeenByAPIServer:
    """Raises Unavailable when the API server tells no size, as one without etcd."""
    sizes = read(reader.metrics())
    if not sizes:
        raise Unavailable("the API server's /metrics tells no size of etcd's database")
    return EtcdSeenByAPIServer(
        db_bytes=sizes,
        server=reader.server,
        provider=provider(reader.server, reader.host) or _by_api_group(reader),
        provenance="/metrics of the API server",
    )


def provider(version: str, host: str) -> str:
    """Who manages the control plane, by the server's version or its host name; "" if unknown."""
    if "-eks-" in version or host.endswith(".eks.amazonaws.com"):
        return "EKS"
    if "-gke." in version:
        return "GKE"
    return "AKS" if host.endswith(".azmk8s.io") else ""


def _by_api_group(reader: Kubernetes) -> str:
    """EKS also serves a group of its own, which no other control plane has."""
    try:
        groups = reader.get("/apis", Permission(resource="/apis", verb="get"))
    except Unavailable:
        return ""
    return "EKS" if b'"metrics.eks.amazonaws.com"' in groups else ""


def read(page: bytes) -> dict[str, int]:
    """The size of each etcd by its name. Raises Unavailable for a page that is none."""
    try:
        found = list(samples(page, *NAMES))
    except ValueError as error:
        raise Unavailable(f"the API server's /metrics is no Prometheus page: {error}") from error
    for name in NAMES:
        sizes: dict[str, int] = {}
        for sample in found:
            # Below zero the API server could not ask etcd.
            if sample.name == name and sample.value >= 0 and math.isfinite(sample.value):
                store = next((sample.labels[x] for x in LABELS if x in sample.labels), "etcd")
                sizes[store] = int(sample.value)
        if sizes:
            return sizes
    return {}
