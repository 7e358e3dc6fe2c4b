"""How etcd and the API servers are started, by the specs of their pods: kubeadm, RKE2, kOps,
OpenShift and all that lay out a control plane as static pods.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from k8sdiag.facts.etcd import (
    DEFAULT_QUOTA_BYTES,
    NO_QUOTA,
    APIServerPod,
    EtcdPod,
    EtcdPods,
)
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes

LIST = Permission(resource="pods", namespace="kube-system")
# Not asked for by `k8sdiag rbac`: a Role needs its namespace, which only OpenShift has.
OPENSHIFT = Permission(resource="pods", namespace="openshift-etcd")
PERMISSIONS = (LIST,)

# (namespace, label selector): kubeadm and RKE2; kOps; OpenShift.
PLACES = (
    (LIST, "component in (etcd, kube-apiserver)"),
    (LIST, "k8s-app in (etcd-manager-main, etcd-manager-events, kube-apiserver)"),
    (OPENSHIFT, "k8s-app=etcd"),
)
ADVERTISED = "kubeadm.kubernetes.io/etcd.advertise-client-urls"
QUOTA = "ETCD_QUOTA_BACKEND_BYTES"
# etcd's flag for its own TLS -> etcdctl's for the same; kubeadm's server certificate serves
# clients too, and its key lies beside it.
FILES = (("trusted-ca-file", "cacert"), ("cert-file", "cert"), ("key-file", "key"))


class _Variable(Struct, frozen=True):
    name: str
    value: str = ""


class _Container(Struct, frozen=True):
    name: str = ""
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    env: list[_Variable] = []


class _Spec(Struct, frozen=True, rename="camel"):
    containers: list[_Container] = []
    node_name: str = ""


class _Metadata(Struct, frozen=True):
    name: str
    namespace: str = ""
    annotations: dict[str, str] = {}


class _Pod(Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


def collect(reader: Kubernetes) -> EtcdPods:
    """Raises Unavailable when no pod of an etcd is to be seen."""
    etcds: list[EtcdPod] = []
    api_servers: list[APIServerPod] = []
    gaps: dict[str, str] = {}
    for needs, selector in PLACES:
        if needs is OPENSHIFT and (etcds or api_servers):
            break  # the control plane is another distribution's
        path = f"/api/v1/namespaces/{needs.namespace}/pods"
        try:
            for page in reader.pages(path, _Pod, needs, params={"labelSelector": selector}):
                etcds += filter(None, map(etcd, page))
                api_servers += filter(None, map(api_server, page))
        except Unavailable as error:
            gaps[f"pods of {needs.namespace}"] = str(error)
    if not etcds and not api_servers:
        why = next(iter(gaps.values()), "the cluster runs its control plane elsewhere")
        raise Unavailable(f"no pod of etcd is to be seen: {why}")
    return EtcdPods(
        etcds=tuple(sorted(etcds, key=lambda p: (p.namespace, p.name))),
        api_servers=tuple(sorted(api_servers, key=lambda p: p.name)),
        gaps=gaps,
        provenance="the specs of the control plane's pods",
    )


def etcd(pod: _Pod) -> EtcdPod | None:
    """What the pod says of its etcd; None when it runs none."""
    container = _container(pod.spec.containers, "etcd", "etcd-manager")
    if container is None:
        return None
    line = _line(container)
    quota_bytes, source = quota(line, {v.name: v.value for v in container.env if v.name == QUOTA})
    urls = pod.metadata.annotations.get(ADVERTISED) or _flag(line, "advertise-client-urls")
    metrics = [urlsplit(url) for url in _flag(line, "listen-metrics-urls").split(",")]
    files = [(name, _flag(line, flag)) for flag, name in FILES]
    version = re.search(r":v?(\d+\.\d+\.\d+)", container.image)
    return EtcdPod(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        node=pod.spec.node_name,
        version=version[1] if version else "",
        quota_bytes=quota_bytes,
        quota_source=source,
        client_urls=tuple(url.strip() for url in urls.split(",") if url.strip()),
        metrics_ports=tuple(url.port for url in metrics if url.scheme == "http" and url.port),
        etcdctl_flags=tuple(f"--{name}={path}" for name, path in files if path),
    )


def quota(line: str, env: dict[str, str]) -> tuple[int | None, str]:
    """(bytes, where it came from) of a command line and the one variable that etcd reads.

    As etcd does: a flag wins over the variable, a file over both, 0 is the default.
    """
    if _flag(line, "config-file"):
        return None, "its config file has it"
    flag = _flag(line, "quota-backend-bytes")
    told, source = (flag, "--quota-backend-bytes") if flag else (env.get(QUOTA, ""), QUOTA)
    try:
        size = int(told or "0")
    except ValueError:  # a reference to another variable
        return None, f"{source} is set by another variable"
    if size == 0:
        return DEFAULT_QUOTA_BYTES, "not set, so etcd's default of 2 GiB"
    return (size if size > 0 else NO_QUOTA), source


def api_server(pod: _Pod) -> APIServerPod | None:
    container = _container(pod.spec.containers, "kube-apiserver")
    if container is None:
        return None
    line = _line(container)
    overrides = _flag(line, "etcd-servers-overrides")
    apart: bool | None = any(o.startswith("/events#") for o in overrides.split(","))
    if not _flag(line, "etcd-servers"):
        apart = None
    return APIServerPod(name=pod.metadata.name, node=pod.spec.node_name, events_apart=apart)


def _container(containers: Iterable[_Container], *names: str) -> _Container | None:
    return next((c for c in containers if c.name in names), None)


def _line(container: _Container) -> str:
    """The command line, be it a list of words or one script for a shell."""
    return " ".join([*container.command, *container.args])


def _flag(line: str, name: str) -> str:
    """The last value of --name, as Go's flag packages take it."""
    found = re.findall(rf"(?:^|\s)--?{name}(?:=|\s+)([^\s]+)", line)
    return found[-1].strip("\"'") if found else ""
