"""Which settings each node's kubelet is known to have: its own, or those of its like."""

import re

from msgspec.structs import replace

from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Missing
from k8sdiag.neighbors import is_node

DEFAULT_MAX_IMAGES = 50  # nodeStatusMaxImages of the kubelet

# What distributions set instead of the kubelet's default of one image at a time.
_PARALLEL = ("Bottlerocket", "Amazon Linux 2023", "Red Hat Enterprise Linux CoreOS", "Talos")


def shipped(node: Node) -> str:
    """ ", though Talos ships parallel pulls": an assumption, for its operator can change it."""
    marks = {"-gke.": "GKE", "+k3s": "k3s", "+rke2": "RKE2"}
    names = [name for name in _PARALLEL if node.os_image.startswith(name)]
    names += [name for mark, name in marks.items() if mark in node.kubelet]
    return f", though {names[0]} ships parallel pulls" if names else ""


def release(version: str) -> tuple[int, int]:
    """(1, 36) of "v1.36.3"; a version that can't be read counts as new."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (99, 0)


def _of_release(settings: KubeletSettings, kubelet: str) -> KubeletSettings:
    """A kubelet before 1.27 ignores maxParallelImagePulls, and what later ones make of it."""
    if release(kubelet) >= (1, 27) or not settings.max_parallel_image_pulls:
        return settings
    implied = settings.sources.get("serialize_image_pulls") == "default"
    return replace(
        settings,
        max_parallel_image_pulls=0,
        serialize_image_pulls=True if implied else settings.serialize_image_pulls,
    )


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
        for node in sorted(nodes.nodes, key=lambda node: node.name):
            own = self._own.get(node.name)
            if own is None:
                continue
            own = self._own[node.name] = _of_release(own, node.kubelet)
            if own.slots is not None:
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

    def image_gc(self, node: Node) -> tuple[float, str] | None:
        """From which share of its disk on the node deletes images, and who told; None: unknown."""
        own = self._own.get(node.name)
        among = [own] if own else self._like.get((node.pool, node.kubelet), [])
        field = "image_gc_high_threshold_percent"
        told = {getattr(settings, field): settings.sources.get(field, "") for settings in among}
        if len(told) != 1:
            return None
        ((percent, source),) = told.items()
        return (percent / 100, source) if percent else None

    def max_images(self, node: Node) -> int:
        """How many images the node lists at most; -1 is all.

        Where nobody tells, a list longer than the default may be full as well.
        """
        settings = self.of(node)[0]
        told = None if settings is None else settings.node_status_max_images
        return max(DEFAULT_MAX_IMAGES, len(node.images)) if told is None else told
