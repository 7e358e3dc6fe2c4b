"""Objects and estimated bytes of each stored resource, as the API server's /metrics has them.

It estimates bytes by what its watch caches saw. Events have no such cache and are told as 0
bytes, though they are what fills etcd most often: a hundred of them are measured instead.
"""

import math

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.exposition import samples
from k8sdiag.readers.kubernetes import METRICS, Kubernetes

EVENTS = Permission(resource="events", verb="list")
PERMISSIONS = (METRICS, EVENTS)
SAMPLE = 100

# The same number under the name of each Kubernetes version: 1.34 on, 1.21 on, before.
COUNTS = ("apiserver_resource_objects", "apiserver_storage_objects", "etcd_object_counts")
SIZES = "apiserver_resource_size_estimate_bytes"  # 1.34 on
SILENT = (
    "the API server's /metrics counts no objects: it has just started and counts once a minute, "
    "or it is older than Kubernetes 1.19"
)


class _Page(Struct, frozen=True):
    items: tuple[msgspec.Raw, ...] = ()


def collect(reader: Kubernetes) -> EtcdObjects:
    """Raises Unavailable when the API server has counted nothing."""
    resources = tuple(
        _measured(reader, r) if r.name == "events" and r.objects and r.size_bytes is None else r
        for r in read(reader.metrics())
    )
    return EtcdObjects(
        resources=resources,
        gaps={r.name: "the API server could not count it" for r in resources if r.objects is None},
        provenance="/metrics of the API server",
    )


def read(page: bytes) -> tuple[StoredResource, ...]:
    """The resources by their names. Raises Unavailable for a page that tells of none."""
    try:
        found = list(samples(page, *COUNTS, SIZES))
    except ValueError as error:
        raise Unavailable(f"the API server's /metrics is no Prometheus page: {error}") from error
    told: dict[str, dict[str, int | None]] = {}
    for sample in found:
        labels = sample.labels
        name = ".".join(filter(None, (labels.get("resource"), labels.get("group"))))
        # Below zero the API server could not ask etcd.
        known = math.isfinite(sample.value) and sample.value >= 0
        told.setdefault(sample.name, {})[name] = int(sample.value) if known else None
    counts = next((told[name] for name in COUNTS if any(told.get(name, {}).values())), {})
    if not counts:
        raise Unavailable(SILENT)
    sizes = told.get(SIZES, {})
    return tuple(
        StoredResource(name=name, objects=objects, size_bytes=_size(objects, sizes.get(name)))
        for name, objects in sorted(counts.items())
    )


def _size(objects: int | None, told: int | None) -> int | None:
    """Objects have bytes: an estimate of 0 for some was not made yet."""
    return None if objects and not told else told


def _measured(reader: Kubernetes, events: StoredResource) -> StoredResource:
    """With its size by a sample; left unknown where events may not be listed."""
    try:
        body = reader.get("/api/v1/events", EVENTS, params={"limit": str(SAMPLE)})
        lengths = [len(bytes(item)) for item in msgspec.json.decode(body, type=_Page).items]
    except (Unavailable, msgspec.DecodeError):
        return events
    if not lengths or events.objects is None:
        return events
    size = round(events.objects * sum(lengths) / len(lengths))
    return replace(events, size_bytes=size, sampled=len(lengths))
