"""Where clusters keep their DNS servers, and what of those objects is read."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from k8sdiag.facts.coredns import Replica
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound

T = TypeVar("T")


class Place(Struct, frozen=True):
    """By name: labels are guesses, and a ConfigMap is only read if it is named."""

    namespace: str
    service: str
    config: str  # ConfigMap
    custom: str = ""  # ConfigMap with files that the Corefile imports
    autoscalers: tuple[str, ...] = ()  # ConfigMaps; the first that there is counts


PLACES = (
    Place(
        "kube-system",
        "kube-dns",
        "coredns",
        "coredns-custom",
        ("kube-dns-autoscaler", "coredns-autoscaler", "dns-autoscaler"),
    ),
    Place("openshift-dns", "dns-default", "dns-default"),
    Place(  # RKE2: the names that its Helm chart gives
        "kube-system",
        "rke2-coredns-rke2-coredns",
        "rke2-coredns-rke2-coredns",
        autoscalers=("rke2-coredns-rke2-coredns-autoscaler",),
    ),
)
NODE_LOCAL = "node-local-dns"  # a DaemonSet and a ConfigMap of kube-system
PODS = Permission(resource="pods")


def named(place: Place, resource: str, name: str) -> Permission:
    # A Role needs its namespace to be there, and only kube-system is in every cluster.
    inside = place.namespace if place.namespace == "kube-system" else ""
    return Permission(resource=resource, verb="get", names=(name,), namespace=inside)


class Metadata(Struct, frozen=True, gc=False):
    name: str = ""
    labels: dict[str, str] = {}


class ConfigMap(Struct, frozen=True):
    data: dict[str, str] = {}


class _ServiceSpec(Struct, frozen=True, rename="camel"):
    selector: dict[str, str] = {}
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())


class Service(Struct, frozen=True):
    spec: _ServiceSpec = _ServiceSpec()

    @property
    def addresses(self) -> tuple[str, ...]:
        spec = self.spec
        return tuple(ip for ip in spec.cluster_ips or (spec.cluster_ip,) if ip not in ("", "None"))


class _Typed(Struct, gc=False):
    """A condition."""

    type: str
    status: str = ""


class _IP(Struct, frozen=True, gc=False):
    ip: str = ""


class _PodSpec(Struct, frozen=True, rename="camel", gc=False):
    node_name: str = ""


class _PodStatus(Struct, frozen=True, rename="camel", gc=False):
    phase: str = ""
    pod_ip: str = field(name="podIP", default="")
    pod_ips: tuple[_IP, ...] = field(name="podIPs", default=())
    conditions: list[_Typed] = []


class Pod(Struct, frozen=True, gc=False):
    metadata: Metadata = Metadata()
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


def service(reader: Kubernetes) -> tuple[Place, Service]:
    """The Service that pods ask. Raises Unavailable, also when no place has one."""
    for place in PLACES:
        path = f"/api/v1/namespaces/{place.namespace}/services/{place.service}"
        try:
            found = get(reader, path, named(place, "services", place.service), Service)
        except NotFound:
            continue
        if not found.spec.selector:
            raise Unavailable(
                f"Service {place.namespace}/{place.service} selects no pods: what answers for it "
                "is not in the API, as with a managed DNS"
            )
        return place, found
    looked = " or ".join(f"{p.namespace}/{p.service}" for p in PLACES)
    raise Unavailable(f"there is no Service {looked}: the cluster's DNS is not found")


def replicas(reader: Kubernetes, place: Place, selector: dict[str, str]) -> tuple[Replica, ...]:
    """The pods of the Service that have not ended."""
    pages = reader.pages(
        f"/api/v1/namespaces/{place.namespace}/pods",
        Pod,
        PODS,
        params={"labelSelector": ",".join(f"{k}={v}" for k, v in sorted(selector.items()))},
    )
    return tuple(
        _replica(pod) for pod in every(pages) if pod.status.phase in ("Pending", "Running")
    )


def _replica(pod: Pod) -> Replica:
    status = pod.status
    addresses = (status.pod_ip, *(address.ip for address in status.pod_ips))
    return Replica(
        pod=pod.metadata.name,
        node=pod.spec.node_name,
        addresses=tuple(dict.fromkeys(a for a in addresses if a)),
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions),
    )


def get(reader: Kubernetes, path: str, needs: Permission, kind: type[T]) -> T:
    """One object. Raises as the reader does, and Unavailable for what is something else."""
    try:
        return msgspec.json.decode(reader.get(path, needs), type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{path}: {error}") from error


def every(pages: Iterable[list[T]]) -> list[T]:
    return [item for page in pages for item in page]
