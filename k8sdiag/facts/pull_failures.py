"""Image pulls that failed, as far as the cluster still tells of them."""

from msgspec import Struct

from k8sdiag.model import Fact


class PullFailure(Struct, frozen=True, kw_only=True):
    """Pulls of one image in one namespace that failed for one cause."""

    cause: str  # a slug of k8sdiag.pulls.errors; "": a kubelet that does not tell it
    image: str  # as the pods ask for it
    namespace: str
    workload: str = ""  # "deployment/shop/web"; "": not told by events
    nodes: tuple[str, ...] = ()
    count: int = 0  # failures that events tell of
    waiting: int = 0  # pods that wait for it now
    last_at: float = 0.0  # seconds since 1970; 0: unknown


class PullFailures(Fact, frozen=True, kw_only=True):
    """Events live for an hour (--event-ttl), pods that wait are read as they are."""

    failures: tuple[PullFailure, ...]
