"""Which node a series in Prometheus is about."""

from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus

Place = tuple[str, str]  # job and instance: what Prometheus scrapes as one

NODE_LABELS = ("node", "kubernetes_node", "nodename")  # that a scrape configuration may give


def place(labels: Labels) -> Place:
    return labels.get("job", ""), labels.get("instance", "")


def names(labels: Labels) -> tuple[str, ...]:
    """What the scrape calls the node: by label, then by the address of the target."""
    told = (*(labels.get(name, "") for name in NODE_LABELS), _host(labels.get("instance", "")))
    return tuple(dict.fromkeys(filter(None, told)))


def _host(instance: str) -> str:
    """Of "10.0.0.7:9100" and "[fd00::7]:9100"; relabelled it may be "worker-7", without a port."""
    host, colon, _ = instance.rpartition(":")
    ported = colon and (":" not in host or host.startswith("["))
    return host.strip("[]") if ported else instance


def of_one_cluster(reader: Prometheus, clusters: set[str]) -> None:
    """Raises Unavailable where the series are of several clusters: their nodes may share names."""
    if len(clusters) > 1:
        told = ", ".join(sorted(c or "without a name" for c in clusters))
        raise Unavailable(f"{reader.name} holds several clusters ({told}): give the one of this")
