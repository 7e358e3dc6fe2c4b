"""Image pulls that happened, as far as the kubelets still tell of them."""

from msgspec import Struct

from k8sdiag.model import Fact


class Pull(Struct, frozen=True, kw_only=True):
    """One image that a node pulled to its end."""

    image: str  # as the pod asks for it
    node: str
    seconds: float | None = None  # without waiting for others; None: this kubelet does not tell
    total_seconds: float | None = None  # with it
    size_bytes: int = 0  # as in the node's status; 0: unknown


class ImagePulls(Fact, frozen=True, kw_only=True):
    """Events live for an hour (--event-ttl): none is no sign that nothing was pulled."""

    pulls: tuple[Pull, ...]


class SizeClass(Struct, frozen=True):
    """The pulls of images between two sizes, by how long they took."""

    least_bytes: float
    most_bytes: float  # k8sdiag.histogram.UNBOUNDED: no bound
    # (a time with waiting, how many took at most that)
    seconds: tuple[tuple[float, float], ...]


class PullTimes(Fact, frozen=True, kw_only=True):
    """Pulls of large images that succeeded, of all kubelets together since each of them started."""

    classes: tuple[SizeClass, ...]
    pulling_share: float = 1.0  # of the time of all pulls, the rest is waiting
