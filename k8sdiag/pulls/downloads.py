"""How many downloads each node's container runtime does at once: as it was read, else by default.

Only this host's runtime can be read, with `k8sdiag` on a node of the cluster. Nodes of its pool
and its runtime's version are made alike, and taken to be set alike.
"""

import math

from msgspec import Struct

from k8sdiag.coldstart import streams_of
from k8sdiag.facts.kubelet import HostKubelet
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.runtime import HostRuntime, Runtime
from k8sdiag.model import Missing
from k8sdiag.neighbors import is_node

_HONOURS = ("containerd", "docker")  # CRI-O's number is built in


class Downloads(Struct, frozen=True, kw_only=True):
    """What bounds them; `source` is empty where that is assumed."""

    at_once: float  # infinity: no bound
    per_node: bool  # by all pulls together, else by each
    in_parts: bool = False  # one layer by several downloads
    settable: bool = True  # whether the runtime honours max_concurrent_downloads
    source: str = ""  # "/etc/containerd/config.toml of node-1"
    read: Runtime | None = None

    @property
    def words(self) -> str:
        many = "any number of" if self.at_once == math.inf else f"{self.at_once:g}"
        where = f" ({self.source})" if self.source else ""
        return f"{many} downloads at once per {'node' if self.per_node else 'image'}{where}"


class KnownDownloads:
    """The downloads of each node."""

    def __init__(
        self, nodes: Nodes, kubelet: HostKubelet | Missing, host: HostRuntime | Missing
    ) -> None:
        self._own: dict[str, Downloads] = {}
        self._like: dict[tuple[str, str], Downloads] = {}
        if isinstance(kubelet, Missing) or isinstance(host, Missing) or not kubelet.settings:
            return
        for node in nodes.nodes:
            if is_node(kubelet.node, node.name) and (found := _read(host.runtime, node)):
                self._own[node.name] = found
                if node.pool:
                    self._like[node.pool, node.runtime] = found

    def of(self, node: Node) -> Downloads:
        own = self._own.get(node.name) or self._like.get((node.pool, node.runtime))
        return own or by_default(node)


def by_default(node: Node) -> Downloads:
    """Of a node whose runtime nobody told otherwise."""
    streams, per_node = streams_of(node.runtime)
    settable = node.runtime.startswith(_HONOURS)
    return Downloads(at_once=float(streams), per_node=per_node, settable=settable)


def _read(runtime: Runtime | None, node: Node) -> Downloads | None:
    """None where it is not known, or is of another runtime than the one that the node names."""
    if runtime is None or runtime.name != node.runtime.partition("://")[0]:
        return None
    if runtime.max_concurrent_downloads is None or not runtime.downloads_per:
        return None
    source = runtime.sources.get("max_concurrent_downloads", "default")
    return Downloads(
        at_once=float(runtime.max_concurrent_downloads or "inf"),
        per_node=runtime.downloads_per == "node",
        in_parts=bool(runtime.layer_fetch_buffer_bytes),
        settable=runtime.name in _HONOURS,
        source=f"{source} of {node.name}",
        read=runtime,
    )
