"""The simulation against its closed forms, published times and plain reason."""

import math
import random

import pytest
from msgspec.structs import replace

from k8sdiag.coldstart import MIB, ColdStart, Image, Puller, Rates, pull_seconds
from k8sdiag.pulls.simulation import simulate

GB = 1e9
SEEDS = range(100)
PLENTY = Rates(link_bytes_per_second=math.inf)


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
    images = tuple(image(r.uniform(1e5, 2e10)) for _ in range(r.randint(1, 20)))
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


def seconds(start: ColdStart, puller: Puller, rates: Rates) -> float:
    return simulate(start, puller, rates).seconds


def test_nothing_to_pull_takes_no_time() -> None:
    assert simulate(ColdStart(images=(), pods=()), Puller(), Rates()).seconds == 0
    assert simulate(ColdStart(images=(), pods=((), ())), Puller(), Rates()).pods == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_image_takes_what_the_formula_says(seed: int) -> None:
    cold, puller, rates = anything(seed)
    first = ColdStart(images=cold.images[:1], pods=((0,),))

    assert seconds(first, puller, rates) == pytest.approx(
        pull_seconds(first.images[0], puller, rates)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_serial_is_the_sum(seed: int) -> None:
    cold, puller, rates = anything(seed, each_once=True)
    total = sum(pull_seconds(i, puller, rates) for i in cold.images)

    assert seconds(cold, replace(puller, slots=1), rates) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_unlimited_and_with_resources_for_all_it_is_the_longest_pod(seed: int) -> None:
    cold, puller, rates = anything(seed, each_once=True)
    unlimited = replace(puller, slots=math.inf, cpus=math.inf, streams_per_node=False)
    plenty = replace(rates, link_bytes_per_second=math.inf, disk_bytes_per_second=math.inf)
    longest = max(
        sum(pull_seconds(cold.images[i], unlimited, plenty) for i in pod) for pod in cold.pods
    )

    assert seconds(cold, unlimited, plenty) == pytest.approx(longest, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_resource_gives_more_than_it_has_and_serial_is_the_most(seed: int) -> None:
    cold, puller, rates = anything(seed)
    compressed = sum(i.compressed_bytes for i in cold.images)
    uncompressed = sum(i.uncompressed_bytes for i in cold.images)
    streams = puller.streams * (1 if puller.streams_per_node else puller.slots)
    bounds = [
        compressed / rates.link_bytes_per_second,
        compressed / (rates.stream_bytes_per_second * streams),
        uncompressed / rates.disk_bytes_per_second,
        compressed / (rates.gunzip_bytes_per_second * min(puller.slots, puller.cpus)),
    ]

    assert seconds(cold, puller, rates) >= max(bounds) * (1 - 1e-9)
    assert seconds(cold, puller, rates) <= seconds(cold, replace(puller, slots=1), rates) * 1.000001


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_the_same_every_time(seed: int) -> None:
    cold, puller, rates = anything(seed)
    refusing = replace(puller, slots=math.inf, qps=5, burst=2)

    assert simulate(cold, refusing, rates) == simulate(cold, refusing, rates)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_rates_doubled_take_half_the_time_and_half_the_bytes_as_well(seed: int) -> None:
    cold, puller, rates = anything(seed)
    at_once = replace(rates, overhead_seconds=0, again_seconds=0)
    before = seconds(cold, puller, at_once)
    names = [f"{rate}_bytes_per_second" for rate in ("stream", "link", "gunzip", "disk")]
    faster = replace(at_once, **{name: 2 * getattr(rates, name) for name in names})
    smaller = replace(cold, images=tuple(image(i.compressed_bytes / 2) for i in cold.images))

    assert seconds(cold, puller, faster) == pytest.approx(before / 2, rel=1e-6)
    assert seconds(smaller, puller, at_once) == pytest.approx(before / 2, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_of_one_resource_never_takes_longer(seed: int) -> None:
    """To 1 %: who comes first in a queue can change with any of them (Graham's anomalies)."""
    cold, puller, rates = anything(seed)
    most = seconds(cold, puller, rates) * 1.01

    for rate in ("stream", "link", "gunzip", "disk"):
        name = f"{rate}_bytes_per_second"
        assert seconds(cold, puller, replace(rates, **{name: 2 * getattr(rates, name)})) <= most
    for more in ({"streams": puller.streams + 1}, {"cpus": 99.0}):
        assert seconds(cold, replace(puller, **more), rates) <= most


@pytest.mark.parametrize("seed", SEEDS)
def test_more_bytes_never_take_less(seed: int) -> None:
    cold, puller, rates = anything(seed)
    least = seconds(cold, puller, rates)
    all_larger = tuple(image(1.5 * i.compressed_bytes) for i in cold.images)
    one_larger = (image(1.5 * cold.images[0].compressed_bytes), *cold.images[1:])

    assert seconds(replace(cold, images=all_larger), puller, rates) > least
    assert seconds(replace(cold, images=one_larger), puller, rates) >= least * 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_more_slots_never_take_longer_where_pulls_do_not_share_anything(seed: int) -> None:
    cold, puller, rates = anything(seed, each_once=True)
    free = replace(puller, cpus=math.inf, streams_per_node=False)
    plenty = replace(rates, link_bytes_per_second=math.inf, disk_bytes_per_second=math.inf)
    single = ColdStart(images=cold.images, pods=tuple((i,) for i in range(len(cold.images))))
    times = [seconds(single, replace(free, slots=float(n)), plenty) for n in (1, 2, 3, 5, 8, 13)]

    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_they_share_the_node_more_slots_cost_a_sixth_at_most(seed: int) -> None:
    """All then share link, cores and disk with the one pull that all wait for in the end."""
    cold, puller, rates = anything(seed)
    before = seconds(cold, puller, rates)

    for slots in (puller.slots + 1, 2 * puller.slots, math.inf):
        assert seconds(cold, replace(puller, slots=slots), rates) <= before * 7 / 6


def test_downloads_share_the_nodes_streams_where_the_runtime_counts_so() -> None:
    rates = replace(PLENTY, gunzip_bytes_per_second=math.inf, disk_bytes_per_second=math.inf)
    ten = alone(*[600 * MIB] * 10)

    per_image = seconds(ten, Puller(streams=1), rates)
    per_node = seconds(ten, Puller(streams=1, streams_per_node=True), rates)

    assert per_image == pytest.approx(0.5 + 10)
    assert per_node == pytest.approx(0.5 + 100)


def test_a_slow_disk_is_shared_by_all() -> None:
    gp3 = replace(PLENTY, disk_bytes_per_second=125 * MIB)
    cold = alone(*[1000 * MIB] * 10)

    assert seconds(cold, Puller(), gp3) == pytest.approx(10 * 2700 / 125, rel=0.01)


def test_two_cores_unpack_two_images_at_once() -> None:
    cold = alone(*[800 * MIB] * 8)

    assert seconds(cold, Puller(cpus=2), PLENTY) == pytest.approx(8 * 10 / 2, rel=0.05)


def test_an_image_that_ten_pods_share_is_pulled_once_and_asked_for_ten_times() -> None:
    shared = ColdStart(images=(image(GB),), pods=((0,),) * 10)
    once = pull_seconds(shared.images[0], Puller(), Rates())
    again = Rates().again_seconds

    serial = simulate(shared, Puller(slots=1), Rates())
    parallel = simulate(shared, Puller(), Rates())

    assert serial.pods == pytest.approx([once + n * again for n in range(10)])
    assert parallel.pods == pytest.approx([once, *[once + again] * 9])


def test_what_another_pod_has_pulled_before_is_not_asked_for() -> None:
    cold = ColdStart(images=(image(GB), image(2 * GB)), pods=((0,), (1, 0)))
    later = pull_seconds(cold.images[1], Puller(), PLENTY)

    assert simulate(cold, Puller(), PLENTY).pods[1] == pytest.approx(later)


def test_a_pod_waits_for_those_that_asked_before() -> None:
    cold = alone(10 * GB, 1 * MIB)

    bulk, small = simulate(cold, Puller(slots=1), Rates()).pods
    beside = simulate(cold, Puller(slots=2), Rates()).pods[1]

    assert small > bulk > 100
    assert beside < 1


def test_pulls_past_the_burst_are_refused_and_back_off_twice_as_long_each_time() -> None:
    tiny = alone(*[1.0] * 30)
    nothing = replace(PLENTY, overhead_seconds=0)

    pulled = simulate(tiny, Puller(qps=1, burst=10, jitter=0), nothing)

    # Ten at once; ten tokens after 10 s; the rest had to wait twice as long.
    assert sorted(round(s) for s in pulled.pods) == [0] * 10 + [10] * 10 + [30] * 10
    assert pulled.refused == 20 + 10


def test_back_off_ends_at_five_minutes() -> None:
    pulled = simulate(alone(*[1.0] * 4), Puller(qps=1e-3, burst=1, jitter=0), Rates())

    # A token comes every 1,000 s; tried at 10, 30, 70, 150, 310, and every 300 s from there.
    assert [round(s) for s in sorted(pulled.pods)] == [1, 1211, 2411, 3611]


def test_jitter_spreads_the_pods_that_were_refused() -> None:
    many = alone(*[1.0] * 110)
    spread = simulate(many, Puller(qps=5, burst=10), PLENTY)
    in_step = simulate(many, Puller(qps=5, burst=10, jitter=0), PLENTY)

    assert spread.seconds < in_step.seconds


def test_a_bound_keeps_pulls_from_being_refused() -> None:
    large = alone(*[GB] * 60)

    assert simulate(large, Puller(slots=5, qps=5, burst=10), Rates()).refused == 0
    assert simulate(large, Puller(qps=5, burst=10), Rates()).refused > 0


@pytest.mark.parametrize(
    ("cold", "rates", "published"),
    [
        # containerd issue 11775: 82 s by CRI's defaults on NVMe, nearly all of it one layer.
        pytest.param(
            ColdStart(images=(image(4.15 * GB, biggest=4.15 * GB),), pods=((0,),)),
            Rates(),
            82,
            id="4.15 GB of mostly one layer",
        ),
        pytest.param(
            alone(*[3 * GB] * 20),
            Rates(link_bytes_per_second=50 * MIB),
            20 * 60,
            id="60 GB at 50 MiB/s",
        ),
    ],
)
def test_published_times_come_out(cold: ColdStart, rates: Rates, published: float) -> None:
    assert seconds(cold, Puller(slots=1), rates) == pytest.approx(published, rel=0.15)
