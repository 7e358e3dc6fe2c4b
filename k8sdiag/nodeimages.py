"""What each node has to pull when it starts cold with the pods it runs now."""

from collections.abc import Iterator

from msgspec import Struct

from k8sdiag.coldstart import ColdStart, Image, Rates, image_of
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods, Profile
from k8sdiag.imagename import normalize

_ENDED = ("Succeeded", "Failed")
STATUS_MAX_IMAGES = 50  # nodeStatusMaxImages of the kubelet


class Demand(Struct, frozen=True, kw_only=True):
    """One node's cold start, as far as the sizes of its images are known."""

    node: Node
    start: ColdStart
    pods: int  # that ask for at least one image
    unsized: int = 0  # images whose size no node tells
    unsized_at_most_bytes: float = 0.0  # together; infinity: nothing bounds them

    @property
    def compressed_bytes(self) -> float:
        return sum(image.compressed_bytes for image in self.start.images)

    @property
    def count(self) -> int:
        return len(self.start.images) + self.unsized

    @property
    def coverage(self) -> float:
        """Which part of the bytes is known, at worst."""
        most = self.compressed_bytes + self.unsized_at_most_bytes
        return self.compressed_bytes / most if most else 1.0


def demands(nodes: Nodes, pods: Pods, rates: Rates) -> Iterator[Demand]:
    """One Demand per node with pods, in the nodes' order."""
    names = [_names(profile) for profile in pods.profiles]
    ready = [profile.phase == "Running" for profile in pods.profiles]
    catalogue = _Catalogue(nodes, rates)
    counts = _profiles_by_node(pods)
    for node in nodes.nodes:
        here = {p: n for p, n in counts.get(node.name, {}).items() if names[p]}
        if here:
            yield _demand(node, here, names, ready, catalogue)


def _demand(
    node: Node,
    here: dict[int, int],
    names: list[tuple[str, ...]],
    ready: list[bool],
    catalogue: "_Catalogue",
) -> Demand:
    held = frozenset(node.images)
    position: dict[str, int | None] = {}
    images: list[Image] = []
    listed = catalogue.smallest(node)
    at_most = 0.0
    pods: list[tuple[int, ...]] = []
    for profile, count in here.items():
        for name in names[profile]:
            if name in position:
                continue
            image = catalogue.find(name, held)
            position[name] = None if image is None else len(images)
            if image is not None:
                images.append(image)
            else:
                # A running container's image lies on the node: what its list leaves out is
                # smaller than all it shows.
                at_most += listed if ready[profile] else float("inf")
        pods += [tuple(i for n in names[profile] if (i := position[n]) is not None)] * count
    return Demand(
        node=node,
        start=ColdStart(images=tuple(images), pods=tuple(pods)),
        pods=sum(here.values()),
        unsized=sum(i is None for i in position.values()),
        unsized_at_most_bytes=at_most,
    )


def _names(profile: Profile) -> tuple[str, ...]:
    """The images of a pod that a cold node pulls, each once, in the order they start."""
    if profile.phase in _ENDED:
        return ()
    order = sorted(profile.containers, key=lambda c: not c.init)
    return tuple(
        dict.fromkeys(normalize(c.image) for c in order if c.image and c.pull_policy != "Never")
    )


def _profiles_by_node(pods: Pods) -> dict[str, dict[int, int]]:
    counts: list[dict[int, int]] = [{} for _ in pods.nodes]
    for profile, node in zip(*pods.columns(), strict=True):
        counts[node][profile] = counts[node].get(profile, 0) + 1
    return dict(zip(pods.nodes, counts, strict=True))


class _Catalogue:
    """The sizes of images by name: what a node says of its own, else what any other says."""

    def __init__(self, nodes: Nodes, rates: Rates) -> None:
        runtime: dict[int, str] = {}
        for node in nodes.nodes:
            runtime |= dict.fromkeys(node.images, node.runtime)
        self._images = {i: image_of(nodes.images[i].size_bytes, runtime[i], rates) for i in runtime}
        self._by_name: dict[str, list[int]] = {}
        for i in runtime:
            for name in nodes.images[i].names:
                self._by_name.setdefault(normalize(name), []).append(i)

    def find(self, name: str, held: frozenset[int]) -> Image | None:
        """A tag may name several images (architectures, pushes): the smallest, for "at least"."""
        known = self._by_name.get(name, [])
        own = [i for i in known if i in held] or known
        images = [self._images[i] for i in own]
        return min(images, key=lambda i: i.compressed_bytes, default=None)

    def smallest(self, node: Node) -> float:
        """What an image is at most that the node's full list leaves out, in compressed bytes."""
        if len(node.images) != STATUS_MAX_IMAGES:
            return float("inf")
        return min(self._images[i].compressed_bytes for i in node.images)
