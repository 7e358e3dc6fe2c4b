"""The nodes of the cluster, as its API tells them."""

from msgspec import Struct

from k8sdiag.model import Fact


class Image(Struct, frozen=True):
    """One image that a node says it holds."""

    names: tuple[str, ...]  # tags and digests of the same image
    size_bytes: int  # compressed on containerd, uncompressed on CRI-O and Docker


class Node(Struct, frozen=True, kw_only=True):
    name: str
    pool: str = ""  # the cloud's or the operator's own name of the group it belongs to
    zone: str = ""  # topology.kubernetes.io/zone
    provider: str = ""  # the scheme of its providerID: "aws", "gce", "azure"
    os: str = "linux"
    os_image: str = ""
    arch: str = ""
    kernel: str = ""
    kubelet: str = ""  # "v1.36.3"
    runtime: str = ""  # "containerd://2.1.4"
    cpus: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0  # of the kubelet's own file system, where images lie by default; 0: unknown
    disk_pressure: bool = False
    max_pods: int = 0
    control_plane: bool = False  # by its role; managed control planes have no nodes here
    ready: bool = True
    schedulable: bool = True
    pod_cidrs: tuple[str, ...] = ()
    images: tuple[int, ...] = ()  # positions in Nodes.images; the API cuts the list, see below
    kubelet_port: int = 0
    addresses: tuple[str, ...] = ()  # internal ones


class Nodes(Fact, frozen=True, kw_only=True):
    nodes: tuple[Node, ...]
    images: tuple[Image, ...] = ()  # each once, over all nodes
    server: str = ""  # the API server's version, "v1.36.3"

    def scale(self) -> dict[str, float]:
        return {"nodes": float(len(self.nodes))}
