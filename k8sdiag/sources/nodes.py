"""Nodes, from the Kubernetes API."""

from msgspec import Struct, field

from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.model import Permission
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes

LIST = Permission(resource="nodes")
PERMISSIONS = (LIST,)

PAGE = 200  # a node is 20 KB and more: its images

# Who made the node knows its pool; the first label that it has counts.
POOLS = (
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "alpha.eksctl.io/nodegroup-name",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "agentpool",
    "doks.digitalocean.com/node-pool",
    "kops.k8s.io/instancegroup",
    "node.cluster.x-k8s.io/pool",
    "node.kubernetes.io/instance-type",
)
ZONE = "topology.kubernetes.io/zone"
# The second was the name up to Kubernetes 1.23.
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

_UNITS = {unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_UNITS |= {unit: 1000.0**power for power, unit in enumerate("num", -3)}
_UNITS |= {unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)}


class _Metadata(Struct, gc=False):
    name: str
    labels: dict[str, str] = {}


class _Spec(Struct, frozen=True, rename="camel", gc=False):
    unschedulable: bool = False
    pod_cidrs: tuple[str, ...] = field(name="podCIDRs", default=())
    provider_id: str = field(name="providerID", default="")


class _Info(Struct, frozen=True, rename="camel", gc=False):
    operating_system: str = "linux"
    os_image: str = ""
    architecture: str = ""
    kernel_version: str = ""
    kubelet_version: str = ""
    container_runtime_version: str = ""


class _Resources(Struct, frozen=True, gc=False):
    cpu: str = "0"
    memory: str = "0"
    disk: str = field(name="ephemeral-storage", default="0")
    pods: str = "0"


class _Typed(Struct, gc=False):
    """A condition or an address."""

    type: str
    status: str = ""
    address: str = ""


class _Image(Struct, rename="camel", gc=False):
    names: tuple[str, ...] | None = None
    size_bytes: int = 0


class _Port(Struct, frozen=True, gc=False):
    port: int = field(name="Port", default=0)


class _Endpoints(Struct, frozen=True, rename="camel", gc=False):
    kubelet_endpoint: _Port = _Port()


class _Status(Struct, frozen=True, rename="camel", gc=False):
    capacity: _Resources = _Resources()
    allocatable: _Resources = _Resources()
    conditions: list[_Typed] = []
    addresses: list[_Typed] = []
    daemon_endpoints: _Endpoints = _Endpoints()
    node_info: _Info = _Info()
    images: list[_Image] = []


class _Node(Struct, gc=False):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


def collect(reader: Kubernetes) -> Nodes:
    return reader.once(_read)  # other sources begin with the nodes, too


def _read(reader: Kubernetes) -> Nodes:
    pages = reader.pages("/api/v1/nodes", _Node, LIST, limit=PAGE)
    images: dict[Image, int] = {}
    nodes: list[Node] = []
    gaps = {}
    try:
        for page in pages:
            nodes += (_node(item, images) for item in page)
    except Incomplete as error:
        gaps["nodes"] = str(error)
    return Nodes(
        nodes=tuple(nodes),
        images=tuple(images),
        server=reader.server,
        gaps=gaps,
        provenance=pages.provenance,
    )


def _node(item: _Node, images: dict[Image, int]) -> Node:
    labels, status, info = item.metadata.labels, item.status, item.status.node_info
    held = [Image(names=i.names or (), size_bytes=i.size_bytes) for i in status.images]
    return Node(
        name=item.metadata.name,
        pool=next((labels[label] for label in POOLS if label in labels), ""),
        zone=labels.get(ZONE, ""),
        provider=item.spec.provider_id.partition("://")[0],
        os=info.operating_system,
        os_image=info.os_image,
        arch=info.architecture,
        kernel=info.kernel_version,
        kubelet=info.kubelet_version,
        runtime=info.container_runtime_version,
        cpus=quantity(status.capacity.cpu),
        memory_bytes=int(quantity(status.capacity.memory)),
        disk_bytes=int(quantity(status.capacity.disk)),
        disk_pressure=any(
            c.type == "DiskPressure" and c.status == "True" for c in status.conditions
        ),
        max_pods=int(quantity(status.allocatable.pods)),
        control_plane=any(role in labels for role in CONTROL_PLANE),
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions),
        schedulable=not item.spec.unschedulable,
        pod_cidrs=item.spec.pod_cidrs,
        images=tuple(images.setdefault(image, len(images)) for image in held),
        kubelet_port=status.daemon_endpoints.kubelet_endpoint.port,
        addresses=tuple(a.address for a in status.addresses if a.type == "InternalIP"),
    )


def quantity(text: str) -> float:
    """A number of the Kubernetes API: "8", "7910m", "32Gi", "1e3" (resource.Quantity)."""
    number = text.rstrip("".join(_UNITS)) or "0"
    return float(number) * _UNITS.get(text[len(number) :], 1)
