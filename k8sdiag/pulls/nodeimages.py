"""What each node has to pull when it starts: cold with the pods it runs now, or after a restart."""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from k8sdiag.coldstart import ColdStart, Image, Rates
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods, Profile
from k8sdiag.pulls.imagename import normalize
from k8sdiag.pulls.imagesizes import Catalogue

_ENDED = ("Succeeded", "Failed")
_ON_EVERY_NODE = ("DaemonSet", "StaticPod")
_CRITICAL = "system-node-critical"
_ROUND_TRIP = Image(compressed_bytes=0, uncompressed_bytes=0)  # it is there, but asked for


class Demand(Struct, frozen=True, kw_only=True):
    """One node's start, as far as the sizes of its images are known.

    The pods are in the order in which a kubelet takes them up when it starts: static ones, then
    by age (HandlePodAdditions sorts by creation).
    """

    node: Node
    cold: ColdStart  # nothing is on the disk
    warm: ColdStart  # the disk was kept: what is always asked for, and what was deleted since
    daemons: tuple[bool, ...]  # of each pod of `cold`, whether every node runs one
    critical: tuple[bool, ...]  # whether its priority is system-node-critical
    unsized: int = 0  # images whose size no node tells
    unsized_at_most_bytes: float = 0.0  # together; infinity: nothing bounds them

    @property
    def pods(self) -> int:
        """Those that ask for at least one image."""
        return len(self.daemons)

    @property
    def compressed_bytes(self) -> float:
        return sum(image.compressed_bytes for image in self.cold.images)

    @property
    def uncompressed_bytes(self) -> float:
        return sum(image.uncompressed_bytes for image in self.cold.images)

    @property
    def count(self) -> int:
        return len(self.cold.images) + self.unsized

    @property
    def coverage(self) -> float:
        """Which part of the bytes is known, at worst."""
        most = self.compressed_bytes + self.unsized_at_most_bytes
        return self.compressed_bytes / most if most else 1.0


def only(start: ColdStart, kept: tuple[bool, ...]) -> ColdStart:
    """The start of some of the pods; equal pods give equal starts, whatever else runs there."""
    number: dict[int, int] = {}
    pods = tuple(
        tuple(number.setdefault(image, len(number)) for image in pod)
        for pod, keep in zip(start.pods, kept, strict=True)
        if keep
    )
    return ColdStart(images=tuple(start.images[image] for image in number), pods=pods)


def demands(
    nodes: Nodes, pods: Pods, rates: Rates, max_images: Callable[[Node], int]
) -> Iterator[Demand]:
    """One Demand per node with pods, by the nodes' names. `max_images`: how many a node lists."""
    templates = [_Template(profile) for profile in pods.profiles]
    catalogue = Catalogue(nodes, rates)
    profiles = _profiles_by_node(pods, templates)
    for node in sorted(nodes.nodes, key=lambda node: node.name):
        if here := profiles.get(node.name):
            yield _demand(node, [templates[p] for p in here], catalogue, max_images(node))


def pulling_pods(pods: Pods) -> dict[str, int]:
    """How many pods of each node ask for at least one image when it starts."""
    pulls = [bool(_Template(profile).images) for profile in pods.profiles]
    counts = Counter(n for p, n in zip(*pods.columns(), strict=True) if pulls[p])
    return {pods.nodes[number]: count for number, count in counts.items()}


class _Template:
    """What the pods of one profile pull, each image once, in the order of their start."""

    def __init__(self, profile: Profile) -> None:
        self.static = profile.workload.kind == "StaticPod"
        self.daemon = profile.workload.kind in _ON_EVERY_NODE
        self.critical = profile.priority_class == _CRITICAL
        self.running = profile.phase == "Running"
        self.always: frozenset[str] = frozenset()
        self.images: tuple[str, ...] = ()
        if profile.phase in _ENDED:
            return
        containers = sorted(profile.containers, key=lambda c: not c.init)
        asked = [
            (normalize(c.image), c.pull_policy)
            for c in (*profile.image_volumes, *containers)
            if c.image and c.pull_policy != "Never"
        ]
        self.images = tuple(dict.fromkeys(name for name, _ in asked))
        self.always = frozenset(name for name, policy in asked if policy == "Always")


def _demand(
    node: Node,
    templates: list[_Template],
    catalogue: Catalogue,
    max_images: int,
) -> Demand:
    held = frozenset(node.images)
    full = len(held) == max_images
    images: list[Image] = []
    position: dict[str, int | None] = {}
    deleted: dict[str, Image] = {}  # by the kubelet's garbage collection, as that of init ones
    at_most = 0.0
    for template in templates:
        for name in template.images:
            if name in position:
                continue
            image = catalogue.find(name, held)
            position[name] = None if image is None else len(images)
            if image is None:
                # A running container's image lies on the node: what its full list leaves out is
                # smaller than all it shows.
                known = template.running and full and held
                at_most += catalogue.smallest(node) if known else float("inf")
                continue
            images.append(image)
            if held and not full and not catalogue.holds(held, name):
                deleted[name] = image
    return Demand(
        node=node,
        cold=ColdStart(
            images=tuple(images),
            pods=tuple(
                tuple(i for name in t.images if (i := position[name]) is not None)
                for t in templates
            ),
        ),
        warm=_warm(templates, deleted),
        daemons=tuple(t.daemon for t in templates),
        critical=tuple(t.critical for t in templates),
        unsized=sum(i is None for i in position.values()),
        unsized_at_most_bytes=at_most,
    )


def _warm(templates: list[_Template], deleted: dict[str, Image]) -> ColdStart:
    images = list(deleted.values())
    number = {name: i for i, name in enumerate(deleted)}
    pods = []
    for template in templates:
        pulls = []
        for name in template.images:
            if name in number:
                pulls.append(number[name])
            elif name in template.always:
                pulls.append(len(images))
                images.append(_ROUND_TRIP)
        if pulls:
            pods.append(tuple(pulls))
    return ColdStart(images=tuple(images), pods=tuple(pods))


def _profiles_by_node(pods: Pods, templates: list[_Template]) -> "dict[str, list[int]]":
    """The profiles of each node's pods that pull, in the order of their start.

    Which of two pods made in the same second comes first, nobody knows: by what they are, then,
    and not by the order in which they were listed.
    """
    told = [msgspec.json.encode(profile) for profile in pods.profiles]
    place = {number: i for i, number in enumerate(sorted(range(len(told)), key=told.__getitem__))}
    found: list[list[tuple[bool, int, int, int]]] = [[] for _ in pods.nodes]
    for profile, node, created in zip(*pods.columns(), pods.created(), strict=True):
        template = templates[profile]
        if template.images:
            found[node].append((not template.static, created, place[profile], profile))
    return {
        name: [profile for *_, profile in sorted(here)]
        for name, here in zip(pods.nodes, found, strict=True)
    }
