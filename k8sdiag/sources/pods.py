"""Every pod, from the Kubernetes API, folded into columns page by page."""

from array import array
from collections.abc import Iterable

from msgspec.structs import replace

from k8sdiag.facts.pods import Container, Pods, Profile, pack
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes
from k8sdiag.sources._pod import Pod, profile, workload

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

    def add(self, pods: Iterable[Pod]) -> None:
        by_key, nodes = self._by_key, self._nodes
        profile_of, node_of = self._profile_of.append, self._node_of.append
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

    def add_unplaced(self, made: Profile, count: int) -> None:
        """`count` pods of one profile, on nodes that are not known."""
        if not count:
            return
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
    """Two pods of a repeating owner with one key have one profile: cheaper than making it."""
    metadata, spec = pod.metadata, pod.spec
    return (
        metadata.namespace,
        metadata.owner_references,
        metadata.labels,
        spec.containers,
        spec.init_containers,
        spec.dns_policy,
        spec.dns_config,
        spec.host_network,
        spec.priority_class_name,
        pod.status.phase,
    )
