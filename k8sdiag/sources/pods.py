"""Every pod, from the Kubernetes API, folded into columns page by page."""

from array import array
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from k8sdiag.facts.pods import Container, Pods, Profile, Served, pack
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes
from k8sdiag.sources._pod import (
    ContainerSpec,
    ContainerStatus,
    Pod,
    digest_of,
    profile,
    workload,
)

LIST = Permission(resource="pods")
PERMISSIONS = (LIST,)

REPEATED = ("ReplicaSet", "StatefulSet", "DaemonSet")  # owners of many equal pods


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
        self._created = array("I")
        # What the containers of a pod ask for and what they run -> how many such pods.
        self._served: dict[tuple[tuple[ContainerSpec, ...], tuple[ContainerStatus, ...]], int] = {}

    def add(self, pods: Iterable[Pod]) -> None:
        by_key, nodes = self._by_key, self._nodes
        profile_of, node_of = self._profile_of.append, self._node_of.append
        created, served = self._created.append, self._served
        for pod in pods:
            key = _key(pod)
            number = by_key.get(key)
            if number is None:
                number = self._number(profile(workload(pod), pod.spec, pod.status.phase))
                # A key that never comes again would only take memory.
                if any(owner.kind in REPEATED for owner in pod.metadata.owner_references):
                    by_key[key] = number
            profile_of(number)
            node_of(nodes.setdefault(pod.spec.node_name, len(nodes)))
            made = pod.metadata.creation_timestamp
            created(max(0, int(made.timestamp())) if made else 0)
            if pod.status.phase == "Running":
                runs = (pod.spec.containers, pod.status.container_statuses)
                served[runs] = served.get(runs, 0) + 1

    def add_unplaced(self, made: Profile, count: int) -> None:
        """`count` pods of one profile, on nodes that are not known."""
        if not count:
            return
        number = self._number(made)
        self._profile_of.extend([number] * count)
        self._node_of.extend([self._nodes.setdefault("", len(self._nodes))] * count)
        self._created.extend([0] * count)

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
            created_column=pack(self._created),
            served=tuple(self._digests()),
            placed=placed,
            gaps=gaps,
            provenance=provenance,
        )

    def _digests(self) -> Iterator[Served]:
        counts: dict[tuple[str, str, bool], int] = {}
        for (containers, statuses), pods in self._served.items():
            ids = {s.name: s.image_id for s in statuses}
            for container in containers:
                if found := digest_of(ids.get(container.name, "")):
                    key = (container.image, *found)
                    counts[key] = counts.get(key, 0) + pods
        for (image, digest, repository), count in sorted(counts.items()):
            yield Served(image, digest, repository, count)


def _key(pod: Pod) -> object:
    """Two pods of a repeating owner with one key have one profile: cheaper than making it."""
    metadata, spec = pod.metadata, pod.spec
    return (
        metadata.namespace,
        metadata.owner_references,
        metadata.labels,
        spec.containers,
        spec.init_containers,
        spec.volumes,
        spec.image_pull_secrets,
        spec.dns_policy,
        spec.dns_config,
        spec.host_network,
        spec.priority_class_name,
        pod.status.phase,
    )
