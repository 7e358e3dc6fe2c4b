"""The sizes of etcd's members over the last days, as Prometheus keeps them."""

from urllib.parse import urlsplit

from k8sdiag.facts.etcd_history import EtcdHistory, SizeSample
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus

DAYS = 3
STEP_SECONDS = 3600
# The lowest of an hour: in use swings by what is written between two compactions. One query for
# both, so that their samples are of the same moments.
QUERY = " or ".join(
    f'label_replace(min_over_time({metric}[1h]), "size", "{size}", "", "")'
    for size, metric in (
        ("total", "etcd_mvcc_db_total_size_in_bytes"),
        ("in_use", "etcd_mvcc_db_total_size_in_use_in_bytes"),
    )
)
_Values = dict[float, float]


def collect(reader: Prometheus) -> EtcdHistory:
    """Raises Unavailable when Prometheus has no sizes of etcd."""
    found: dict[tuple[str, str], _Values] = {}
    twice: set[str] = set()  # as when two clusters have the same addresses: nobody's
    for labels, samples in reader.range(QUERY, DAYS * 86400, STEP_SECONDS):
        for name in names(labels):
            key = (name, labels["size"])
            twice |= {name} if key in found else set()
            found[key] = dict(samples)
    sizes = {}
    for name in sorted({name for name, _ in found} - twice):
        total, in_use = (found.get((name, size), {}) for size in ("total", "in_use"))
        both = sorted(total.keys() & in_use.keys())
        if both:
            sizes[name] = tuple(
                SizeSample(at=at, db_bytes=int(total[at]), in_use_bytes=int(in_use[at]))
                for at in both
            )
    if not sizes:
        raise Unavailable(f"{reader.name} has no etcd_mvcc_db_total_size_in_bytes")
    return EtcdHistory(sizes=sizes, provenance=f"{DAYS} days of {reader.name}")


def names(labels: Labels) -> set[str]:
    """The host of the instance, and the member by its pod, which kubeadm names after it."""
    host = urlsplit(f"//{labels.get('instance', '')}").hostname
    pod = labels.get("pod", "")
    found = {host} if host else set()
    return found | ({f"etcd/{pod.removeprefix('etcd-')}"} if pod.startswith("etcd-") else set())
