"""Every pod, from the Kubernetes API, folded into columns page by page."""

import re
from array import array
from collections.abc import Iterable
from sys import intern

from msgspec import Struct, field
from msgspec.structs import replace

from k8sdiag.facts.pods import Container, DNSConfig, Pods, Profile, Workload, pack
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes

LIST = Permission(resource="pods")
PERMISSIONS = (LIST,)

REPEATED = ("ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController")  # many pods of one


# What is read of a pod, and nothing else: not its environment, annotations or managedFields.
# Frozen and in tuples, so that equal parts are one key of a dict.
class _Option(Struct, frozen=True, gc=False):
    name: str = ""
    value: str = ""


class _DNSConfig(Struct, frozen=True, gc=False):
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[_Option, ...] = ()


class _Container(Struct, frozen=True, rename="camel", gc=False):
    image: str = ""
    image_pull_policy: str = ""


class PodSpec(Struct, frozen=True, rename="camel", gc=False):
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] = ()
    node_name: str = ""
    dns_policy: str = "ClusterFirst"
    dns_config: _DNSConfig | None = None
    host_network: bool = False
    priority_class_name: str = ""


class _Owner(Struct, frozen=True, gc=False):
    kind: str
    name: str
    controller: bool = False


class _Labels(Struct, frozen=True, gc=False):
    template: str = field(name="pod-template-hash", default="")
    rollout: str = field(name="rollouts-pod-template-hash", default="")


class _Annotations(Struct, frozen=True, gc=False):
    mirror: str = field(name="kubernetes.io/config.mirror", default="")


class _Metadata(Struct, rename="camel", gc=False):
    name: str
    namespace: str = ""
    labels: _Labels = _Labels()
    annotations: _Annotations = _Annotations()
    owner_references: tuple[_Owner, ...] = ()


class _Status(Struct, frozen=True, gc=False):
    phase: str = "Running"


class Pod(Struct, gc=False):
    metadata: _Metadata
    spec: PodSpec
    status: _Status = _Status()


def collect(reader: Kubernetes) -> Pods:
    if reader.quick:
        raise Unavailable("a quick look does not list every pod")
    pages = reader.pages("/api/v1/pods", Pod, LIST)
    table = Table()
    gaps = {}
    try:
        for page in pages:
            table.add(page)
    except Incomplete as error:
        gaps["pods"] = str(error)
    return table.fact(gaps, pages.provenance)


class Table:
    """Pods folded into columns: one number for the profile of each, one for its node."""

    def __init__(self) -> None:
        self._by_key: dict[object, int] = {}  # what the API says of a pod -> its profile
        self._containers: dict[tuple[Container, ...], tuple[Container, ...]] = {}
        self._profiles: dict[Profile, int] = {}
        self._nodes: dict[str, int] = {}
        self._profile_of = array("I")
        self._node_of = array("I")

    def add(self, pods: Iterable[Pod]) -> None:
        by_key, nodes = self._by_key, self._nodes
        profile_of, node_of = self._profile_of.append, self._node_of.append
        for pod in pods:
            key = _key(pod)
            number = by_key.get(key)
            if number is None:
                number = self._number(profile(workload(pod), pod.spec, pod.status.phase))
                if any(owner.kind in REPEATED for owner in pod.metadata.owner_references):
                    by_key[key] = number
            profile_of(number)
            node_of(nodes.setdefault(pod.spec.node_name, len(nodes)))

    def add_unplaced(self, made: Profile, count: int) -> None:
        """`count` pods of one profile, on nodes that are not known."""
        number = self._number(made)
        self._profile_of.extend([number] * count)
        self._node_of.extend([self._nodes.setdefault("", len(self._nodes))] * count)

    def _number(self, made: Profile) -> int:
        # 100,000 finished jobs of one pod each still share their few lists of containers.
        containers = self._containers.setdefault(made.containers, made.containers)
        made = replace(made, containers=containers)
        return self._profiles.setdefault(made, len(self._profiles))

    def fact(self, gaps: dict[str, str], provenance: str, *, placed: bool = True) -> Pods:
        return Pods(
            profiles=tuple(self._profiles),
            nodes=tuple(self._nodes),
            profile_column=pack(self._profile_of),
            node_column=pack(self._node_of),
            placed=placed,
            gaps=gaps,
            provenance=provenance,
        )


def _key(pod: Pod) -> object:
    """Two pods with one key have one profile; it costs a tenth of making the profile."""
    metadata, spec = pod.metadata, pod.spec
    alone = not metadata.owner_references or metadata.annotations.mirror
    return (
        metadata.namespace,
        metadata.owner_references,
        metadata.labels,
        metadata.name if alone else "",
        spec.containers,
        spec.init_containers,
        spec.dns_policy,
        spec.dns_config,
        spec.host_network,
        spec.priority_class_name,
        pod.status.phase,
    )


def profile(owner: Workload, spec: PodSpec, phase: str) -> Profile:
    return Profile(
        workload=owner,
        dns_policy=intern(spec.dns_policy),
        dns_config=_dns_config(spec.dns_config),
        host_network=spec.host_network,
        containers=tuple(
            Container(image=c.image, pull_policy=c.image_pull_policy, init=init)
            for containers, init in ((spec.init_containers, True), (spec.containers, False))
            for c in containers
        ),
        priority_class=spec.priority_class_name,
        phase=intern(phase),
    )


def _dns_config(read: _DNSConfig | None) -> DNSConfig | None:
    if read is None:
        return None
    return DNSConfig(
        nameservers=read.nameservers,
        searches=read.searches,
        options=tuple((option.name, option.value) for option in read.options),
    )


def workload(pod: Pod) -> Workload:
    """The outermost owner that the pod's own fields tell."""
    metadata = pod.metadata
    if metadata.annotations.mirror:
        # The kubelet names the copy of a static pod <pod>-<node>.
        name = metadata.name.removesuffix("-" + pod.spec.node_name)
        return Workload(metadata.namespace, "StaticPod", name)
    owner = next((o for o in metadata.owner_references if o.controller), None)
    if owner is None:
        return Workload(metadata.namespace, "Pod", metadata.name)
    kind, name = owner.kind, owner.name
    labels = metadata.labels
    if kind == "ReplicaSet" and labels.template and name.endswith(f"-{labels.template}"):
        kind, name = "Deployment", name.removesuffix(f"-{labels.template}")
    elif kind == "ReplicaSet" and labels.rollout and name.endswith(f"-{labels.rollout}"):
        kind, name = "Rollout", name.removesuffix(f"-{labels.rollout}")
    elif kind == "Job":
        kind, name = job_owner(name)
    return Workload(intern(metadata.namespace), intern(kind), name)


def job_owner(name: str) -> tuple[str, str]:
    """A CronJob names its jobs <cronjob>-<scheduled time in minutes since 1970>."""
    scheduled = re.fullmatch(r"(.+)-\d{8}", name)
    return ("CronJob", scheduled[1]) if scheduled else ("Job", name)
