"""Which series of a Prometheus are those of this cluster's etcd."""

from typing import NamedTuple

from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus

SYSTEM = ("", "kube-system", "openshift-etcd", "kube-prometheus", "monitoring")


class Series(NamedTuple):
    """One sample, as the exposition format has it."""

    name: str
    labels: Labels
    value: float


def instances(reader: Prometheus, promql: str) -> dict[tuple[str, str], list[Series]]:
    """The series of the expression by (job, instance).

    An application's own etcd, in a namespace of its own, is left out. Raises Unavailable when
    there is none, or when several clusters write to this Prometheus.
    """
    found: dict[tuple[str, str], list[Series]] = {}
    clusters: set[str] = set()
    for labels, value in reader.instant(promql):
        if labels.get("namespace", "") not in SYSTEM:
            continue
        clusters.add(labels.get("cluster", ""))
        place = (labels.get("job", ""), labels.get("instance", ""))
        found.setdefault(place, []).append(Series(labels.get("__name__", ""), labels, value))
    if len(clusters) > 1:
        names = ", ".join(sorted(c or "without a name" for c in clusters))
        raise Unavailable(
            f"{reader.name} holds the etcds of several clusters ({names}): give the one of this "
            "cluster"
        )
    if not found:
        raise Unavailable(f"{reader.name} scrapes no etcd")
    return found


def name_of(series: list[Series], instance: str) -> str:
    return next((s.labels["pod"] for s in series if s.labels.get("pod")), instance)
