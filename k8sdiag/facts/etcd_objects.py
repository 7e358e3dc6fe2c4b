"""How many objects of each resource etcd stores."""

from msgspec import Struct

from k8sdiag.model import Fact


class StoredResource(Struct, frozen=True, kw_only=True):
    """One resource as the API server names it: "pods", "leases.coordination.k8s.io"."""

    name: str
    objects: int | None  # None: it could not be counted
    size_bytes: int | None = None  # an estimate of the live objects, history apart; None: unknown
    sampled: int = 0  # it is the mean JSON length of so many objects; what is stored is smaller


class EtcdObjects(Fact, frozen=True, kw_only=True):
    """Every resource that the API server stores, whichever etcd it is in; gaps: not counted."""

    resources: tuple[StoredResource, ...]
