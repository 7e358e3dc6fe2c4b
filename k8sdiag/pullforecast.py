"""Each node's cold start with the settings that its kubelet is known to have."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.coldstart import Puller, Rates, parallel_seconds, serial_seconds, streams_of
from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Missing
from k8sdiag.neighbors import is_node
from k8sdiag.nodeimages import Demand, demands


class Forecast(Struct, frozen=True, kw_only=True):
    """One node's cold start."""

    demand: Demand
    settings: KubeletSettings | None  # None: unknown, and why
    why: str
    serial_seconds: float
    parallel_seconds: float  # at least, with the slots it is known to have, else with no bound
    remedy_seconds: float  # at least, with the slots of the remedy

    @property
    def serial(self) -> bool:
        return self.settings is not None and self.settings.slots == 1

    @property
    def least_seconds(self) -> float:
        return self.serial_seconds if self.serial else self.parallel_seconds

    @property
    def what(self) -> str:
        demand = self.demand
        unsized = f" and {demand.unsized} of unknown size" if demand.unsized else ""
        size = f"{demand.compressed_bytes / 1e9:.3g} GB{unsized}"
        return f"{demand.node.name}'s {demand.count} images ({size})"

    @property
    def how(self) -> str:
        if self.settings is None:
            return "in parallel at best"
        slots = self.settings.slots or 0.0
        many = "one" if slots == 1 else "any number" if slots == float("inf") else f"{slots:g}"
        return f"{many} at a time ({self.settings.sources.get('serialize_image_pulls', '')})"


# What distributions set instead of the kubelet's default of one image at a time.
_PARALLEL = ("Bottlerocket", "Amazon Linux 2023", "Red Hat Enterprise Linux CoreOS", "Talos")


def shipped(node: Node) -> str:
    """ ", though Talos ships parallel pulls": an assumption, for its operator can change it."""
    marks = {"-gke.": "GKE", "+k3s": "k3s", "+rke2": "RKE2"}
    names = [name for name in _PARALLEL if node.os_image.startswith(name)]
    names += [name for mark, name in marks.items() if mark in node.kubelet]
    return f", though {names[0]} ships parallel pulls" if names else ""


def forecasts(
    nodes: Nodes, pods: Pods, known: "Known", rates: Rates, *, remedy_slots: int
) -> Iterator[Forecast]:
    """One forecast per node with pods, in the nodes' order."""
    for demand in demands(nodes, pods, rates):
        yield _forecast(demand, known, rates, remedy_slots)


class Known:
    """The settings of each node: its own kubelet's, else those of its like that were asked."""

    def __init__(
        self, nodes: Nodes, kubelets: KubeletConfigs | Missing, host: HostKubelet | Missing
    ) -> None:
        self._own: dict[str, KubeletSettings] = {}
        self._like: dict[tuple[str, str], list[KubeletSettings]] = {}
        self._why = "no kubelet of its pool and version answered"
        if isinstance(kubelets, Missing):
            self._why = kubelets.reason
        else:
            self._own = {k.node: k.settings for k in kubelets.kubelets}
        if isinstance(host, HostKubelet) and host.settings and host.running is not None:
            here = [n.name for n in nodes.nodes if is_node(host.node, n.name)]
            self._own = dict.fromkeys(here, host.settings) | self._own
        for node in nodes.nodes:
            own = self._own.get(node.name)
            if own is not None and own.slots is not None:
                self._like.setdefault((node.pool, node.kubelet), []).append(own)

    def of(self, node: Node) -> tuple[KubeletSettings | None, str]:
        """(None, why) where it is not known how many images the node pulls at once."""
        like = self._like.get((node.pool, node.kubelet), [])
        settings = self._own.get(node.name) or (like[0] if like else None)
        if settings is None:
            return None, self._why
        if settings.slots is None:
            return None, "its kubelet's serializeImagePulls could not be read"
        if node.name not in self._own and len({s.slots for s in like}) > 1:
            return None, "the kubelets asked of its pool and version differ"
        return settings, ""


def _forecast(demand: Demand, known: Known, rates: Rates, remedy_slots: int) -> Forecast:
    settings, why = known.of(demand.node)
    streams, per_node = streams_of(demand.node.runtime)
    node = Puller(streams=streams, streams_per_node=per_node, cpus=demand.node.cpus or float("inf"))
    parallel = node
    if settings is not None and settings.slots != 1:
        parallel = replace(
            node,
            slots=settings.slots or float("inf"),
            qps=settings.registry_pull_qps or 0,
            burst=settings.registry_burst or 0,
        )
    return Forecast(
        demand=demand,
        settings=settings,
        why=why,
        serial_seconds=serial_seconds(demand.start, node, rates),
        parallel_seconds=parallel_seconds(demand.start, parallel, rates),
        remedy_seconds=parallel_seconds(demand.start, replace(node, slots=remedy_slots), rates),
    )
