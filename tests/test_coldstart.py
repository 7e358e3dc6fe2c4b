import math
import random
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from k8sdiag.coldstart import (
    MIB,
    ColdStart,
    Image,
    Puller,
    Rates,
    image_of,
    parallel_seconds,
    pull_seconds,
    serial_seconds,
    streams_of,
)

GB = 1e9
SEEDS = range(50)


def image(compressed: float, *, biggest: float | None = None, layers: int = 10) -> Image:
    return Image(
        compressed_bytes=compressed,
        uncompressed_bytes=2.7 * compressed,
        layers=layers,
        biggest_layer_bytes=biggest,
    )


def start(*sizes: float, pods: int = 1) -> ColdStart:
    """Images that every one of the pods needs."""
    return ColdStart(images=tuple(map(image, sizes)), pods=(tuple(range(len(sizes))),) * pods)


def anything(seed: int) -> tuple[ColdStart, Puller, Rates]:
    r = random.Random(seed)
    images = tuple(image(r.uniform(1e5, 2e10)) for _ in range(r.randint(1, 20)))
    pods = tuple(
        tuple(r.sample(range(len(images)), r.randint(1, min(4, len(images)))))
        for _ in range(r.randint(1, 30))
    )
    puller = Puller(
        slots=r.choice([2.0, 3.0, 8.0, math.inf]),
        streams=r.randint(1, 8),
        streams_per_node=r.random() < 0.5,
        cpus=r.choice([2.0, 64.0, math.inf]),
        qps=r.choice([0.0, 5.0]),
        burst=10,
    )
    rates = Rates(
        stream_bytes_per_second=r.uniform(5, 300) * MIB,
        link_bytes_per_second=r.uniform(20, 5000) * MIB,
        gunzip_bytes_per_second=r.uniform(40, 300) * MIB,
        disk_bytes_per_second=r.uniform(50, 3000) * MIB,
    )
    return ColdStart(images=images, pods=pods), puller, rates


def test_nothing_to_pull_takes_no_time() -> None:
    nothing = ColdStart(images=(), pods=())

    assert serial_seconds(nothing, Puller(), Rates()) == 0
    assert parallel_seconds(nothing, Puller(), Rates()) == 0


def test_one_pull_is_the_longer_of_download_and_unpacking_and_a_part_of_the_shorter() -> None:
    rates = Rates(overhead_seconds=0.5, overlap=0.15)
    size = 960.0 * MIB

    # Three streams of 60 MiB/s, but 40 % of it in one layer: 6.4 s; one core unpacks for 12 s.
    assert pull_seconds(image(size), Puller(), rates) == pytest.approx(0.5 + 12 + 0.15 * 6.4)
    # All of it in one layer, through one stream: 16 s.
    one = image(size, biggest=size, layers=1)
    assert pull_seconds(one, Puller(), rates) == pytest.approx(0.5 + 16 + 0.15 * 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_serial_is_the_sum(seed: int) -> None:
    cold, puller, rates = anything(seed)
    alone = [pull_seconds(i, puller, rates) for i in cold.images]
    each_once = ColdStart(images=cold.images, pods=tuple((i,) for i in range(len(cold.images))))

    assert serial_seconds(each_once, puller, rates) == pytest.approx(sum(alone))


def test_an_image_that_ten_pods_share_is_asked_for_ten_times() -> None:
    once, shared = start(GB), start(GB, pods=10)

    more = serial_seconds(shared, Puller(), Rates()) - serial_seconds(once, Puller(), Rates())

    assert more == pytest.approx(9 * Rates().again_seconds)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_bound_it_takes_at_least_the_longest_pod(seed: int) -> None:
    cold, puller, rates = anything(seed)
    unbounded = replace(puller, slots=math.inf)
    longest = max(sum(pull_seconds(cold.images[i], puller, rates) for i in p) for p in cold.pods)

    assert parallel_seconds(cold, unbounded, rates) >= longest


def test_without_a_bound_and_with_resources_for_all_it_is_the_longest_pod() -> None:
    cold = ColdStart(images=(image(GB), image(2 * GB), image(4 * GB)), pods=((0, 1), (2,)))
    plenty = Rates(link_bytes_per_second=math.inf, disk_bytes_per_second=math.inf)
    longest = pull_seconds(cold.images[2], Puller(), plenty)

    assert parallel_seconds(cold, Puller(), plenty) == pytest.approx(longest)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_slot_is_as_slow_as_serial_pulls_of_each_image_once(seed: int) -> None:
    cold, puller, rates = anything(seed)
    once = replace(puller, slots=1, qps=0)
    expected = sum(pull_seconds(i, puller, rates) for i in cold.images)

    assert parallel_seconds(cold, once, rates) == pytest.approx(expected)


@pytest.mark.parametrize("compute", [serial_seconds, parallel_seconds])
@pytest.mark.parametrize("seed", SEEDS)
def test_more_bandwidth_or_slots_never_take_longer_and_more_bytes_never_less(
    seed: int, compute: Callable[[ColdStart, Puller, Rates], float]
) -> None:
    cold, puller, rates = anything(seed)
    before = compute(cold, puller, rates)

    for rate in ("stream", "link", "gunzip", "disk"):
        name = f"{rate}_bytes_per_second"
        faster = replace(rates, **{name: 2 * getattr(rates, name)})
        assert compute(cold, puller, faster) <= before
    for more in ({"slots": 2 * puller.slots}, {"streams": puller.streams + 1}, {"cpus": 99}):
        assert compute(cold, replace(puller, **more), rates) <= before
    larger = tuple(image(1.5 * i.compressed_bytes) for i in cold.images)
    assert compute(replace(cold, images=larger), puller, rates) > before


def test_pulls_start_no_faster_than_the_kubelet_lets_them() -> None:
    many = start(*[1e6] * 110, pods=1)
    spread = replace(many, pods=tuple((i,) for i in range(110)))

    limited = parallel_seconds(spread, Puller(qps=5, burst=10), Rates())

    assert limited == pytest.approx((110 - 10) / 5)
    assert parallel_seconds(spread, Puller(), Rates()) < 2


@pytest.mark.parametrize(
    ("cold", "puller", "rates", "seconds"),
    [
        # containerd issue 11775: 82 s by CRI's defaults on NVMe, nearly all of it one layer.
        pytest.param(
            ColdStart(images=(image(4.15 * GB, biggest=4.15 * GB),), pods=((0,),)),
            Puller(),
            Rates(),
            82,
            id="4.15 GB of mostly one layer",
        ),
        pytest.param(
            start(*[3 * GB] * 20),
            Puller(),
            Rates(link_bytes_per_second=50 * MIB),
            20 * 60,
            id="60 GB at 50 MiB/s",
        ),
    ],
)
def test_published_times_come_out(
    cold: ColdStart, puller: Puller, rates: Rates, seconds: float
) -> None:
    assert serial_seconds(cold, puller, rates) == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize(
    ("runtime", "streams"),
    [
        ("containerd://2.1.4", (3, True)),
        ("containerd://2.0.6", (3, False)),
        ("containerd://1.7.27-k3s1", (3, False)),
        ("cri-o://1.33.1", (6, False)),
        ("docker://24.0.7", (3, True)),
        ("", (3, False)),
    ],
)
def test_downloads_at_once(runtime: str, streams: tuple[int, bool]) -> None:
    assert streams_of(runtime) == streams


def test_the_size_in_a_nodes_status_is_compressed_only_with_containerd() -> None:
    of_containerd = image_of(70.5e6, "containerd://2.1.4", Rates())
    of_crio = image_of(191e6, "cri-o://1.33.1", Rates())

    assert of_containerd.compressed_bytes == 70.5e6
    assert of_containerd.uncompressed_bytes == pytest.approx(191e6, rel=0.01)
    assert of_crio.uncompressed_bytes == 191e6
    assert of_crio.compressed_bytes == pytest.approx(70.5e6, rel=0.01)
