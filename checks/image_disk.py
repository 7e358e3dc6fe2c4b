"""The images that a node's pods need come close to filling its disk.

Images in use can't be deleted: past the threshold the kubelet's garbage collection finds nothing
to free, the node gets DiskPressure, and pods are evicted that have to pull again elsewhere.
"""

import shlex
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from k8sdiag.coldstart import Rates
from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Limits, Missing, Remedy, Said, Severity, Share, Unseen, Usage
from k8sdiag.pulls.kubelets import Known
from k8sdiag.pulls.nodeimages import Demand, demands

# These delete the compressed layers once they are unpacked (discard_unpacked_layers).
_DISCARDS = ("Amazon Linux 2023", "Talos")
_SIZES = '{range .status.images[*]}{.sizeBytes} {.names[0]}{"\\n"}{end}'


class ImageDisk(Limits, frozen=True, kw_only=True):
    # 1 - imagefs.available of the kubelet's evictionHard, and its imageGCHighThresholdPercent
    # where that was not read; where it was, the lower of the two counts.
    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.85
    # With DiskPressure, images that take this part of the disk are what to look at first.
    pressed: Share = 0.5


class _Disk(Struct, frozen=True):
    """A node's images against its disk."""

    demand: Demand
    threshold: float
    what: str  # begins there

    @property
    def share(self) -> float:
        return _bytes(self.demand) / self.demand.node.disk_bytes

    @property
    def fullness(self) -> float:
        return self.share / self.threshold


def check(
    nodes: Nodes,
    pods: Pods,
    kubelets: KubeletConfigs | Missing,
    host: HostKubelet | Missing,
    limits: ImageDisk,
) -> Iterator[Said]:
    known = Known(nodes, kubelets, host)
    pools: dict[str, list[_Disk]] = {}
    elsewhere: list[Demand] = []
    unknown: list[str] = []
    for demand in demands(nodes, pods, Rates(), known.max_images):
        if not demand.node.disk_bytes:
            unknown.append(demand.node.name)
            continue
        disk = _disk(demand, known, limits)
        if disk.share > 1 and not demand.node.disk_pressure:
            elsewhere.append(demand)  # its pods run, so they lie on another disk or share layers
        else:
            pools.setdefault(demand.node.pool, []).append(disk)
    for pool, disks in sorted(pools.items()):
        yield from _pool(f"pool/{pool or 'unnamed'}", disks, limits)
    if unknown:
        yield Unseen(
            subject=f"the disks of {len(unknown)} nodes",
            reason=f"the status of {unknown[0]} tells no ephemeral storage "
            "(localStorageCapacityIsolation of its kubelet is off)",
        )
    if elsewhere:
        worst = max(elsewhere, key=_bytes)
        yield Unseen(
            subject=f"the image disks of {len(elsewhere)} nodes",
            reason=f"{worst.node.name}'s {worst.count} images would take {_bytes(worst) / 1e9:.3g} "
            f"GB, its kubelet's disk has {worst.node.disk_bytes / 1e9:.3g} GB and no pressure: "
            "they lie on a disk of their own, which no node's status tells, or share many layers",
        )


def _disk(demand: Demand, known: Known, limits: ImageDisk) -> _Disk:
    """Where something begins: the lower of what the kubelet tells, and of what is assumed."""
    told = known.image_gc(demand.node)
    if told is None:
        return _Disk(demand, limits.threshold, "garbage collection and eviction begin")
    share, source = told
    if share > limits.threshold:
        return _Disk(demand, limits.threshold, "eviction begins")
    return _Disk(demand, share, f"garbage collection begins ({source})")


def _bytes(demand: Demand) -> float:
    """Unpacked, and with containerd packed as well; layers that images share count twice."""
    node = demand.node
    keeps = node.runtime.startswith("containerd") and not node.os_image.startswith(_DISCARDS)
    return demand.uncompressed_bytes + (demand.compressed_bytes if keeps else 0.0)


def _pool(subject: str, disks: list[_Disk], limits: ImageDisk) -> Iterator[Said]:
    worst = max(disks, key=lambda d: d.fullness)
    node = worst.demand.node
    yield Usage(
        limit_id="image-disk",
        subject=subject,
        used=_bytes(worst.demand),
        limit=worst.threshold * node.disk_bytes,
        unit="bytes",
        driver="pods_per_node",
        source=f"{node.name}'s {worst.demand.count} images by status.images, unpacked; against "
        f"{worst.threshold:.0%} of the ephemeral storage in its status, at which {worst.what}",
    )
    pressed = [d for d in disks if _pressed(d, limits)]
    if pressed:
        most = max(pressed, key=lambda d: _bytes(d.demand))
        yield _finding("pressure", Severity.CRITICAL, subject, most, len(pressed))
    near = [d for d in disks if d.fullness >= 1 and not _pressed(d, limits)]
    if near:
        most = max(near, key=lambda d: d.fullness)
        yield _finding("near", Severity.WARNING, subject, most, len(near))


def _pressed(disk: _Disk, limits: ImageDisk) -> bool:
    return disk.demand.node.disk_pressure and disk.share >= limits.pressed


def _finding(code: str, severity: Severity, subject: str, disk: _Disk, count: int) -> Finding:
    demand, node = disk.demand, disk.demand.node
    others = f"; {count - 1} more of its nodes as well" if count > 1 else ""
    state = "it has DiskPressure" if node.disk_pressure else "images in use can't be deleted"
    return Finding(
        code=code,
        severity=severity,
        subject=subject,
        message=f"the {demand.count} images that {node.name}'s pods need take up to "
        f"{_bytes(demand) / 1e9:.3g} of its {node.disk_bytes / 1e9:.3g} GB; at "
        f"{disk.threshold:.0%} {disk.what}, and {state}{others}",
        observed=_bytes(demand),
        limit=disk.threshold * node.disk_bytes,
        remedy=_remedy(node),
    )


def _remedy(node: Node) -> Remedy:
    name = shlex.quote(node.name)
    return Remedy(
        summary="give the pool's nodes a larger disk, or one of its own for images; move models "
        "and data out of images; spread the workloads with the largest ones",
        commands=(
            f"kubectl describe node {name} | grep -A9 Conditions",
            f"kubectl get node {name} -o jsonpath='{_SIZES}' | sort -rn | head",
        ),
    )
