"""How long a node's image pulls take: pure, in seconds and bytes.

The model of one pull: 0.5 s to resolve the name, then the download and the unpacking overlap,
and the longer of the two decides. Downloads are bound by TCP streams and the node's link,
unpacking by one core's decompression and the disk. Between images: the kubelet's slots.
What is not known of a node is a rate of `Rates`, which a report has to name as assumed.
"""

import math
import re

from msgspec import Struct

MIB = 2**20


class Rates(Struct, frozen=True, kw_only=True):
    """What a node's parts do; each value is an assumption until somebody measured it."""

    # One TCP stream from a registry.
    stream_bytes_per_second: float = 60 * MIB
    # The node's network link: 10 Gbit/s.
    link_bytes_per_second: float = 10e9 / 8
    # Go's gzip on one core, of compressed bytes: 77 to 92 MiB/s (containerd issue 13559).
    gunzip_bytes_per_second: float = 80 * MIB
    # A local NVMe disk, so that the disk is not what a lower bound rests on.
    disk_bytes_per_second: float = 1000 * MIB
    expansion: float = 2.7  # uncompressed / compressed bytes; docker.io/library/nginx: 191 / 70.5
    overhead_seconds: float = 0.5  # token, manifest and config of one image
    again_seconds: float = 0.3  # a pull of an image that another pod has pulled meanwhile
    overlap: float = 0.15  # the part of the shorter of download and unpacking that is not hidden


class Puller(Struct, frozen=True, kw_only=True):
    """How a node pulls: its kubelet's and its runtime's settings."""

    slots: float = math.inf  # images at once
    streams: int = 3  # downloads at once, of one image or of the whole node
    streams_per_node: bool = False
    cpus: float = math.inf
    qps: float = 0.0  # pulls that may start a second; 0: no limit
    burst: int = 0


class Image(Struct, frozen=True, kw_only=True):
    compressed_bytes: float
    uncompressed_bytes: float
    layers: int = 10
    biggest_layer_bytes: float | None = None  # compressed; None: 40 % of the image


class ColdStart(Struct, frozen=True, kw_only=True):
    """What one node has to pull before all its pods run."""

    images: tuple[Image, ...]  # each once
    pods: tuple[
        tuple[int, ...], ...
    ]  # of each its `images`, each once, in the order of their pulls


def image_of(size_bytes: float, runtime: str, rates: Rates) -> Image:
    """An image as a node's status gives it: one size, whose meaning depends on the runtime.

    containerd reports what it downloaded, CRI-O and Docker what lies unpacked on the disk
    (containerd issue 9261, cri-tools issue 1264).
    """
    if runtime.startswith("containerd://"):
        return Image(compressed_bytes=size_bytes, uncompressed_bytes=size_bytes * rates.expansion)
    return Image(compressed_bytes=size_bytes / rates.expansion, uncompressed_bytes=size_bytes)


def streams_of(runtime: str) -> tuple[int, bool]:
    """Downloads at once by a runtime's defaults, and whether they are shared by the node.

    containerd's max_concurrent_downloads = 3 counts per image up to 2.0 and per node from 2.1
    on; Docker's 3 count per daemon; CRI-O copies six layers of an image at once.
    """
    name, _, version = runtime.partition("://")
    if name == "cri-o":
        return 6, False
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    release = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return 3, name == "docker" or (name == "containerd" and release >= (2, 1))


def pull_seconds(image: Image, puller: Puller, rates: Rates) -> float:
    """One image on an otherwise idle node."""
    size = image.compressed_bytes
    biggest = image.biggest_layer_bytes
    if biggest is None:
        biggest = max(0.4 * size, size / image.layers)
    streams = min(puller.streams, image.layers)
    stream = min(rates.stream_bytes_per_second, rates.link_bytes_per_second)
    download = max(
        size / min(rates.link_bytes_per_second, stream * streams),
        biggest / stream,  # a layer comes through one stream
    )
    unpack = max(
        size / rates.gunzip_bytes_per_second,
        image.uncompressed_bytes / rates.disk_bytes_per_second,
    )
    hidden = rates.overlap * min(download, unpack)
    return rates.overhead_seconds + max(download, unpack) + hidden


def serial_seconds(start: ColdStart, puller: Puller, rates: Rates) -> float:
    """One image after the other: the sum, and the pulls of what others have pulled meanwhile.

    Every container whose image is absent when its pod begins waits in the kubelet's queue, so
    an image that ten pods share is asked for ten times.
    """
    asked = sum(len(pod) for pod in start.pods)
    again = max(0, asked - len(start.images)) * rates.again_seconds
    return sum(pull_seconds(image, puller, rates) for image in start.images) + again


def parallel_seconds(start: ColdStart, puller: Puller, rates: Rates) -> float:
    """The least that `puller.slots` pulls at once can take: the tightest of the known bounds.

    Each resource has to carry all bytes, the slots all pulls, and the kubelet never pulls two
    images of one pod at once. What is contended for between them comes on top.
    """
    compressed = sum(image.compressed_bytes for image in start.images)
    uncompressed = sum(image.uncompressed_bytes for image in start.images)
    alone = [pull_seconds(image, puller, rates) for image in start.images]
    downloads = puller.streams * (1.0 if puller.streams_per_node else puller.slots)
    starts = len(start.images) - puller.burst
    return max(
        compressed / min(rates.link_bytes_per_second, rates.stream_bytes_per_second * downloads),
        uncompressed / rates.disk_bytes_per_second,
        compressed / (rates.gunzip_bytes_per_second * max(1.0, min(puller.slots, puller.cpus))),
        max((sum(alone[i] for i in pod) for pod in start.pods), default=0.0),
        sum(alone) / puller.slots,
        starts / puller.qps if puller.qps and starts > 0 else 0.0,
    )
