"""How large images are, as far as any node tells."""

from k8sdiag.coldstart import Image, Rates, image_of
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.pulls.imagename import normalize


class Catalogue:
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

    def find(self, name: str, held: frozenset[int] = frozenset()) -> Image | None:
        """A tag may name several images (architectures, pushes): the smallest, for "at least"."""
        known = self._by_name.get(name, [])
        own = [i for i in known if i in held] or known
        images = [self._images[i] for i in own]
        return min(images, key=lambda i: i.compressed_bytes, default=None)

    def holds(self, held: frozenset[int], name: str) -> bool:
        return any(i in held for i in self._by_name.get(name, []))

    def smallest(self, node: Node) -> float:
        """What an image is at most that the node's full list leaves out, in compressed bytes."""
        return min(self._images[i].compressed_bytes for i in node.images)
