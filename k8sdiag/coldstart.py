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

    # One TCP stream from a registry: 25 (containerd issue 8160) to 184 MiB/s (issue 13559).
    stream_bytes_per_second: float = 60 * MIB
    # The node's network link: 10 Gbit/s.
    link_bytes_per_second: float = 10e9 / 8
    # Go's gzip on one core, of compressed bytes: 77 to 92 MiB/s (containerd issue 13559), and
    # 83 of a PyTorch image (pull request 13560).
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
    streams: float = 3  # downloads at once, of one image or of the whole node
    streams_per_node: bool = False
    layers_in_parts: bool = False  # a layer comes through as many streams as there are
    cpus: float = math.inf
    qps: float = 0.0  # pulls that may start a second; 0: no limit
    burst: int = 0
    # What a back-off grows by at most, evenly spread over the pods instead of at random
    # (workerBackOffPeriodJitterFactor in pkg/kubelet/pod_workers.go).
    jitter: float = 0.5


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


def download_seconds(image: Image, puller: Puller, rates: Rates) -> float:
    """The bytes of one image that has link and streams to itself."""
    size = image.compressed_bytes
    biggest = image.biggest_layer_bytes
    if biggest is None:
        biggest = max(0.4 * size, size / image.layers)
    stream = min(rates.stream_bytes_per_second, rates.link_bytes_per_second)
    if puller.layers_in_parts:
        return size / min(rates.link_bytes_per_second, stream * puller.streams)
    return max(
        size / min(rates.link_bytes_per_second, stream * min(puller.streams, image.layers)),
        biggest / stream,  # a layer comes through one stream
    )


def unpack_seconds(image: Image, rates: Rates) -> float:
    """The layers of one image, one after the other, on a core and a disk of its own."""
    return max(
        image.compressed_bytes / rates.gunzip_bytes_per_second,
        image.uncompressed_bytes / rates.disk_bytes_per_second,
    )


def pull_seconds(image: Image, puller: Puller, rates: Rates) -> float:
    """One image on an otherwise idle node."""
    download, unpack = download_seconds(image, puller, rates), unpack_seconds(image, rates)
    hidden = rates.overlap * min(download, unpack)
    return rates.overhead_seconds + max(download, unpack) + hidden
