"""The sizes of etcd's members over the last days, as Prometheus keeps them."""

from urllib.parse import urlsplit

from k8sdiag.facts.etcd_history import EtcdHistory, SizeSample
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus

DAYS = 3
STEP_SECONDS = 3600
# The lowest of an hour: in use swings by what is written between two compactions.
QUERY = "min_over_time({}[1h])"
TOTAL = QUERY.format("etcd_mvcc_db_total_size_in_bytes")
IN_USE = QUERY.format("etcd_mvcc_db_total_size_in_use_in_bytes")

Values = dict[float, float]


def collect(reader: Prometheus) -> EtcdHistory:
    """Raises Unavailable when Prometheus has no sizes of etcd."""
    total, in_use = (_read(reader, query) for query in (TOTAL, IN_USE))
    sizes = {
        name: tuple(
            SizeSample(at=at, db_bytes=int(values[at]), in_use_bytes=int(in_use[name][at]))
            for at in sorted(values.keys() & in_use[name].keys())
        )
        for name, values in total.items()
        if name in in_use
    }
    if not sizes:
        raise Unavailable(f"{reader.name} has no etcd_mvcc_db_total_size_in_bytes")
    return EtcdHistory(sizes=sizes, provenance=f"{DAYS} days of {reader.name}")


def _read(reader: Prometheus, query: str) -> dict[str, Values]:
    """By each name that a series can be known by; what two series share is nobody's."""
    found: dict[str, Values] = {}
    twice: set[str] = set()
    for labels, samples in reader.range(query, DAYS * 86400, STEP_SECONDS):
        for name in names(labels):
            twice |= {name} & found.keys()
            found[name] = dict(samples)
    return {name: values for name, values in found.items() if name not in twice}


def names(labels: Labels) -> set[str]:
    """The host of the instance, and the member by its pod, which kubeadm names after it."""
    host = urlsplit(f"//{labels.get('instance', '')}").hostname
    pod = labels.get("pod", "")
    found = {host} if host else set()
    return found | ({f"etcd/{pod.removeprefix('etcd-')}"} if pod.startswith("etcd-") else set())
