"""The control plane by its pods' command lines, and kube-proxy by its ConfigMap."""

import ipaddress
import re

import msgspec
from msgspec import Struct

from k8sdiag.facts.cluster import ControlPlane
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes

LIST = Permission(resource="pods", namespace="kube-system")
PROXY = Permission(
    resource="configmaps", verb="get", names=("kube-proxy",), namespace="kube-system"
)
PERMISSIONS = (LIST, PROXY)
SELECTOR = "component in (kube-apiserver, kube-controller-manager)"
# --node-cidr-mask-size of kube-controller-manager unless set, by family.
MASKS = {"ipv4": 24, "ipv6": 64}


class _Container(Struct, gc=False):
    command: list[str] = []
    args: list[str] = []


class _Pod(Struct, gc=False):
    class Metadata(Struct, gc=False):
        labels: dict[str, str] = {}

    class Spec(Struct, gc=False):
        containers: list[_Container] = []

    metadata: Metadata
    spec: Spec


class _ConfigMap(Struct):
    data: dict[str, str] = {}


def collect(reader: Kubernetes) -> ControlPlane:
    """Raises Unavailable where the control plane's pods are not in the cluster."""
    flags: dict[str, str] = {}
    api_servers = 0
    params = {"labelSelector": SELECTOR}
    for page in reader.pages("/api/v1/namespaces/kube-system/pods", _Pod, LIST, params=params):
        for pod in page:
            if pod.metadata.labels.get("component") == "kube-apiserver":
                api_servers += 1
            else:
                flags |= _flags(pod)
    if not api_servers and not flags:
        raise Unavailable("the control plane's pods are not in this cluster: it runs elsewhere")
    cidrs = tuple(c for c in flags.get("cluster-cidr", "").split(",") if c)
    return ControlPlane(
        api_servers=api_servers,
        cluster_cidrs=cidrs,
        node_masks={_family(cidr): _mask(_family(cidr), len(cidrs), flags) for cidr in cidrs},
        allocates=flags.get("allocate-node-cidrs") == "true",
        proxy_mode=_proxy_mode(reader),
        provenance="the command lines of the control plane's pods",
    )


def _flags(pod: _Pod) -> dict[str, str]:
    """The few flags that decide how many nodes there can be; nothing else is kept."""
    found = {}
    words = [w for c in pod.spec.containers for w in (*c.command, *c.args)]
    for word in words:
        wanted = r"--(cluster-cidr|allocate-node-cidrs|node-cidr-mask-size(?:-ipv[46])?)(?:=(.*))?"
        if match := re.fullmatch(wanted, word):
            found[match[1]] = match[2] or "true"
    return found


def _mask(family: str, families: int, flags: dict[str, str]) -> int:
    """The flag of a cluster with one family is another than those of a cluster with two."""
    told = flags.get("node-cidr-mask-size" if families == 1 else f"node-cidr-mask-size-{family}")
    return int(told) if told and told.isdigit() else MASKS[family]


def _family(cidr: str) -> str:
    return f"ipv{ipaddress.ip_network(cidr, strict=False).version}"


def _proxy_mode(reader: Kubernetes) -> str:
    """iptables, ipvs or nftables; "" where kube-proxy is absent or configured in another way."""
    try:
        body = reader.get("/api/v1/namespaces/kube-system/configmaps/kube-proxy", PROXY)
        config = msgspec.json.decode(body, type=_ConfigMap).data.get("config.conf", "")
    except (Unavailable, msgspec.DecodeError):
        return ""
    mode = re.search(r'^mode:[ \t]*"?(\w*)"?[ \t]*$', config, re.MULTILINE)
    return "" if mode is None else mode[1] or "iptables"  # iptables is what "" means on Linux
