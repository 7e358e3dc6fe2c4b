"""The cluster's domain and DNS addresses, from kubeadm's ConfigMap and the DNS Service."""

import msgspec
from msgspec import Struct

from k8sdiag.facts.dns import ClusterDNS
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound

CONFIG = Permission(
    resource="configmaps", verb="get", names=("kubelet-config",), namespace="kube-system"
)
# By name: NodeLocal DNSCache gives a second Service the same label.
SERVICE = Permission(resource="services", verb="get", names=("kube-dns",), namespace="kube-system")
PERMISSIONS = (CONFIG, SERVICE)
ASSUMED = "cluster.local"  # what kubeadm and every large provider take unless told otherwise


class _Kubelet(Struct, frozen=True, rename="camel"):
    cluster_domain: str | None = None
    cluster_dns: tuple[str, ...] | None = msgspec.field(name="clusterDNS", default=None)


class _ConfigMap(Struct, frozen=True):
    data: dict[str, str] = {}


class _Spec(Struct, frozen=True, rename="camel"):
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = msgspec.field(name="clusterIPs", default=())


class _Service(Struct, frozen=True):
    spec: _Spec = _Spec()


def collect(reader: Kubernetes) -> ClusterDNS:
    """What is not told is assumed (the domain) or left unknown (the servers), and labelled."""
    why = []
    kubelet = _Kubelet()
    try:
        kubelet = _kubelet(reader)
    except NotFound:
        pass  # only kubeadm makes it
    except Unavailable as error:
        why.append(str(error))
    servers = kubelet.cluster_dns or ()
    source = "ConfigMap kube-system/kubelet-config"
    if not servers:
        try:
            servers, source = _servers(reader), "Service kube-system/kube-dns"
        except NotFound:
            source = "unknown: there is no Service kube-system/kube-dns"
        except Unavailable as error:
            why.append(str(error))
    if len(why) == len(PERMISSIONS):
        raise Unavailable("; ".join(dict.fromkeys(why)))
    domain = (kubelet.cluster_domain or "").removesuffix(".")
    told = "by ConfigMap kube-system/kubelet-config" if domain else "assumed"
    return ClusterDNS(
        domain=domain or ASSUMED,
        servers=servers,
        configured=bool(kubelet.cluster_dns),
        provenance=f"domain {domain or ASSUMED} {told}; DNS addresses: {source}",
    )


def _kubelet(reader: Kubernetes) -> _Kubelet:
    import yaml

    body = reader.get("/api/v1/namespaces/kube-system/configmaps/kubelet-config", CONFIG)
    try:
        text = msgspec.json.decode(body, type=_ConfigMap).data.get("kubelet", "")
        return msgspec.convert(yaml.safe_load(text) or {}, type=_Kubelet)
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        line = str(error).partition("\n")[0]
        raise Unavailable(
            f"ConfigMap kube-system/kubelet-config holds no KubeletConfiguration: {line}"
        ) from error


def _servers(reader: Kubernetes) -> tuple[str, ...]:
    body = reader.get("/api/v1/namespaces/kube-system/services/kube-dns", SERVICE)
    try:
        spec = msgspec.json.decode(body, type=_Service).spec
    except msgspec.DecodeError as error:
        raise Unavailable(f"Service kube-system/kube-dns: {error}") from error
    return tuple(ip for ip in spec.cluster_ips or (spec.cluster_ip,) if ip not in ("", "None"))
