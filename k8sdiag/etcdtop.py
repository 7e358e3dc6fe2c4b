"""Which resources fill etcd: the rows of `k8sdiag etcd top`, the largest first."""

from collections.abc import Iterable

from msgspec import Struct

from k8sdiag.facts.etcd_objects import StoredResource


class Row(Struct, frozen=True, kw_only=True):
    resource: str
    objects: int | None  # None: unknown, as in the next three
    size_bytes: int | None
    sampled: int  # as StoredResource has it
    mean_bytes: float | None  # of one object
    share: float | None  # of the bytes that are known; of the objects where no bytes are


def rank(resources: Iterable[StoredResource]) -> list[Row]:
    """By bytes, then by objects; what is not known comes last. What holds nothing is left out."""
    stored = [r for r in resources if r.objects != 0]
    by_size = any(r.size_bytes for r in stored)
    weights = {r.name: r.size_bytes if by_size else r.objects for r in stored}
    total = sum(filter(None, weights.values()))
    rows = [
        Row(
            resource=r.name,
            objects=r.objects,
            size_bytes=r.size_bytes,
            sampled=r.sampled,
            mean_bytes=r.size_bytes / r.objects if r.objects and r.size_bytes else None,
            share=_share(weights[r.name], total),
        )
        for r in stored
    ]
    return sorted(rows, key=_order)


def _share(weight: int | None, total: int) -> float | None:
    return weight / total if weight is not None and total else None


def _order(row: Row) -> tuple[float, float, str]:
    unknown = float("-inf")
    size = unknown if row.size_bytes is None else row.size_bytes
    return -size, -(unknown if row.objects is None else row.objects), row.resource
