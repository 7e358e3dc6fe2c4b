"""What is read of a pod, and nothing else: not its environment, annotations or managedFields."""

import re
from datetime import datetime
from sys import intern

from msgspec import Struct, field

from k8sdiag.facts.pods import Container, DNSConfig, Profile, Workload


# Frozen and in tuples, so that equal parts are one key of a dict.
class _Option(Struct, frozen=True, gc=False):
    name: str = ""
    value: str = ""


class _DNSConfig(Struct, frozen=True, gc=False):
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[_Option, ...] = ()


class ContainerSpec(Struct, frozen=True, rename="camel", gc=False):
    name: str = ""
    image: str = ""
    image_pull_policy: str = ""


class _ImageVolume(Struct, frozen=True, rename="camel", gc=False):
    reference: str = ""
    pull_policy: str = ""


class _Volume(Struct, frozen=True, gc=False):
    image: _ImageVolume | None = None


class _Secret(Struct, frozen=True, gc=False):
    """A name in the pod; the Secret itself is never read."""

    name: str = ""


class PodSpec(Struct, frozen=True, rename="camel", gc=False):
    containers: tuple[ContainerSpec, ...] = ()
    init_containers: tuple[ContainerSpec, ...] = ()
    volumes: tuple[_Volume, ...] = ()
    image_pull_secrets: tuple[_Secret, ...] = ()
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
    creation_timestamp: datetime | None = None
    labels: _Labels = _Labels()
    annotations: _Annotations = _Annotations()
    owner_references: tuple[_Owner, ...] = ()


class ContainerStatus(Struct, frozen=True, gc=False):
    name: str
    image_id: str = field(name="imageID", default="")


class _Status(Struct, frozen=True, rename="camel", gc=False):
    phase: str = "Running"
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Struct, gc=False):
    metadata: _Metadata
    spec: PodSpec
    status: _Status = _Status()


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
        image_volumes=tuple(
            Container(image=v.image.reference, pull_policy=v.image.pull_policy)
            for v in spec.volumes
            if v.image
        ),
        pull_secrets=bool(spec.image_pull_secrets),
        priority_class=spec.priority_class_name,
        phase=intern(phase),
    )


def digest_of(image_id: str) -> tuple[str, bool] | None:
    """The digest, and whether it is the registry's: "docker-pullable://r.io/app@sha256:..."."""
    name, _, digest = image_id.rpartition("@")
    digest = digest.removeprefix("docker://")
    return (digest, bool(name)) if digest.startswith("sha256:") else None


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
