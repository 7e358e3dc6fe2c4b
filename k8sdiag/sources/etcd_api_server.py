"""The size of etcd's database as the API server's /metrics has it: no etcd certificate needed."""

import math

from k8sdiag.facts.etcd import EtcdSeenByAPIServer
from k8sdiag.model import Unavailable
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
        db_bytes=sizes, server=reader.server, provenance="/metrics of the API server"
    )


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
