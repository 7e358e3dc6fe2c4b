"""Which resolv.conf a trace is about: this host's, a file's, or one that a kubelet writes."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import Profile, Workload
from k8sdiag.kubeletdns import UNKNOWN_NODE, asks_cluster, effective, limits_of
from k8sdiag.model import ConfigError, Permission, Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources import cluster_dns, node_resolv_conf, node_resolv_conf_events
from k8sdiag.sources._pod import Pod, profile, workload

POD = Permission(resource="pods", verb="get")
NODE = Permission(resource="nodes", verb="get")
HERE = "/etc/resolv.conf"
GLIBC_READS = ("RES_OPTIONS", "LOCALDOMAIN")  # resolv.conf(5)


class Conf(Struct, frozen=True, kw_only=True):
    text: str  # bytes that are no UTF-8 are surrogate escapes
    source: str  # "/etc/resolv.conf of this host"
    resolvers: tuple[str, ...]  # whose walks are of interest
    notes: tuple[str, ...] = ()  # what was assumed, or not seen
    unknown_servers: str = ""  # not empty: their addresses are not known, and why
    env: Mapping[str, str] = {}  # what glibc takes from the environment
    here: bool = False  # whether it is this host's own


class _Info(Struct, frozen=True, rename="camel"):
    kubelet_version: str = ""
    operating_system: str = "linux"


class _Status(Struct, frozen=True, rename="camel"):
    node_info: _Info = _Info()


class _Node(Struct, frozen=True):
    status: _Status = _Status()


def of_host() -> Conf:
    env = {name: os.environ[name] for name in GLIBC_READS if name in os.environ}
    return Conf(
        text=read(Path(HERE)),
        source=f"{HERE} of this host",
        resolvers=(own_libc(),),
        notes=tuple(f"{name} of this shell counts, for glibc" for name in env),
        env=env,
        here=True,
    )


def of_file(path: Path) -> Conf:
    return Conf(text=read(path), source=str(path), resolvers=("glibc", "musl", "go"))


def read(path: Path) -> str:
    """Raises ConfigError when it can't be read."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; name another file with --resolv-conf"
        ) from error


def own_libc() -> str:
    """The resolver that the C library of this process has."""
    return "glibc" if platform.libc_ver()[0] == "glibc" else "musl"


def of_pod(door: Kubernetes, namespace: str, pod: str, node_file: Path | None) -> Conf:
    """The file of a pod; without a pod's name that of an ordinary one in the namespace.

    Raises Unavailable when it can't be told.
    """
    notes: list[str] = []
    made = Profile(workload=Workload(namespace, "Pod", pod))
    node, version = "", ""
    if pod:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        try:
            read_pod = msgspec.json.decode(door.get(path, POD), type=Pod)
        except NotFound as error:
            raise ConfigError(f"there is no pod {namespace}/{pod}") from error
        except msgspec.DecodeError as error:
            raise Unavailable(f"{path}: {error}") from error
        made = profile(workload(read_pod), read_pod.spec, read_pod.status.phase)
        node = read_pod.spec.node_name
        version = _version(door, node, notes)
    cluster = _cluster(door, notes)
    file = _node_file(door, node, node_file, notes)
    who = f"pod {namespace}/{pod}" if pod else f"an ordinary pod in namespace {namespace}"
    unknown = ""
    if asks_cluster(made):
        if not cluster.servers:
            unknown = f"the address of the cluster's DNS is not known: {cluster.provenance}"
    elif made.dns_policy != "None" and file.path == UNKNOWN_NODE.path:
        raise Unavailable(f"{who} has its node's own file, which is not known: {notes[-1]}")
    return Conf(
        text=effective(made, cluster, file, limits_of(version)).text,
        source=f"{who}, by the kubelet's rules",
        resolvers=("glibc", "musl", "go"),
        notes=tuple(notes),
        unknown_servers=unknown,
    )


def _version(door: Kubernetes, node: str, notes: list[str]) -> str:
    if not node:
        notes.append("the pod is not scheduled yet: its node may add search domains")
        return ""
    try:
        body = door.get(f"/api/v1/nodes/{node}", NODE)
        info = msgspec.json.decode(body, type=_Node).status.node_info
    except (Unavailable, msgspec.DecodeError) as error:
        notes.append(f"taken for Linux and a kubelet of 1.26 or later: {error}")
        return ""
    if info.operating_system == "windows":
        raise ConfigError(f"the pod runs on Windows (node/{node}), where none of this holds")
    return info.kubelet_version


def _cluster(door: Kubernetes, notes: list[str]) -> ClusterDNS:
    try:
        found = cluster_dns.collect(door)
    except Unavailable as error:
        notes.append(f"domain {cluster_dns.ASSUMED} assumed, its DNS address unknown: {error}")
        return ClusterDNS(domain=cluster_dns.ASSUMED, provenance=str(error))
    notes.append(found.provenance)
    return found


def _node_file(door: Kubernetes, node: str, given: Path | None, notes: list[str]) -> NodeResolvConf:
    """Of the file given, this host if it is the node, what an event tells; or of none."""
    host = Host()
    host.node_resolv_conf = given
    why = []
    try:
        found = node_resolv_conf.collect(host)
        if given or found.node == node or not node:
            notes.append(f"search domains of the node: {found.provenance}")
            return found
        why.append(f"this host is not node/{node}: give that node's own with --node-resolv-conf")
    except Unavailable as error:
        why.append(str(error))
    try:
        found = node_resolv_conf_events.collect_alone(door)
    except Unavailable as error:
        why.append(str(error))
        told = f"the node's search domains are not known, and so left out: {'; '.join(why)}"
        found = UNKNOWN_NODE
    else:
        told = f"search domains of the node: {found.provenance}"
    notes.append(told)
    return found
