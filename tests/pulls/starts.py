"""Starts of nodes: made up, random, and as large as real ones."""

import math
import random

from k8sdiag.coldstart import MIB, ColdStart, Image, Puller, Rates

GB = 1e9


def image(compressed: float, *, biggest: float | None = None, layers: int = 10) -> Image:
    return Image(
        compressed_bytes=compressed,
        uncompressed_bytes=2.7 * compressed,
        layers=layers,
        biggest_layer_bytes=biggest,
    )


def alone(*sizes: float) -> ColdStart:
    """A pod for each image."""
    return ColdStart(images=tuple(map(image, sizes)), pods=tuple((i,) for i in range(len(sizes))))


def anything(seed: int, *, each_once: bool = False) -> tuple[ColdStart, Puller, Rates]:
    """A start, a puller and rates; `each_once`: every image in one pod only."""
    r = random.Random(seed)
    images = tuple(
        image(r.uniform(1e5, 2e10), layers=r.randint(1, 40)) for _ in range(r.randint(1, 20))
    )
    numbers = list(range(len(images)))
    r.shuffle(numbers)
    pods: list[tuple[int, ...]] = []
    while numbers:
        count = r.randint(1, 4)
        pods.append(tuple(numbers[:count]))
        del numbers[:count]
    if not each_once:
        more = r.randint(0, 20)
        pods += [tuple(r.sample(range(len(images)), 1 + (len(images) > 1))) for _ in range(more)]
    puller = Puller(
        slots=r.choice([2.0, 3.0, 8.0, math.inf]),
        streams=r.randint(1, 8),
        streams_per_node=r.random() < 0.5,
        cpus=r.choice([2.0, 64.0, math.inf]),
    )
    rates = Rates(
        stream_bytes_per_second=r.uniform(5, 300) * MIB,
        link_bytes_per_second=r.uniform(20, 5000) * MIB,
        gunzip_bytes_per_second=r.uniform(40, 300) * MIB,
        disk_bytes_per_second=r.uniform(50, 3000) * MIB,
    )
    return ColdStart(images=images, pods=tuple(pods)), puller, rates
