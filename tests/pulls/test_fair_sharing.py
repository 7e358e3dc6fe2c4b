"""The bounds against an event simulation, in which pulls share what there is fairly."""

import math
import random
from collections.abc import Callable
from statistics import median, quantiles

import pytest
from msgspec.structs import replace

from k8sdiag.coldstart import MIB, ColdStart, Puller, Rates
from k8sdiag.pulls.simulation import simulate
from tests.pulls.fair_sharing import events
from tests.pulls.starts import anything, image

SEEDS = range(300)
Case = tuple[ColdStart, Puller, Rates]


def node(seed: int) -> Case:
    """One of a real size: 60 pods, images of 150 MB and more, sidecars that many pods share."""
    r = random.Random(seed)
    images = tuple(image(min(2e10, r.lognormvariate(math.log(1.5e8), 1.5))) for _ in range(30))
    pods = [
        tuple(dict.fromkeys((r.randrange(30), r.randrange(3), r.randrange(30))))[: r.randint(1, 3)]
        for _ in range(60)
    ]
    used = {image: n for n, image in enumerate(dict.fromkeys(i for pod in pods for i in pod))}
    cold = ColdStart(
        images=tuple(images[i] for i in used), pods=tuple(tuple(used[i] for i in p) for p in pods)
    )
    puller = Puller(
        slots=r.choice([3.0, 5.0, 10.0, math.inf]), streams_per_node=r.random() < 0.5, cpus=16
    )
    return cold, puller, Rates(link_bytes_per_second=r.choice([50, 100, 1192]) * MIB)


@pytest.mark.parametrize("case", [node, anything])
def test_one_at_a_time_is_what_events_give(case: Callable[[int], Case]) -> None:
    for seed in SEEDS:
        cold, puller, rates = case(seed)
        one = replace(puller, slots=1)
        assert simulate(cold, one, rates).pods == pytest.approx(events(cold, one, rates))


@pytest.mark.parametrize("case", [node, anything])
def test_several_at_a_time_are_a_little_less_and_no_more(case: Callable[[int], Case]) -> None:
    of_all = []
    for seed in SEEDS:
        cold, puller, rates = case(seed)
        bound, exact = simulate(cold, puller, rates), events(cold, puller, rates)
        of_all.append(bound.seconds / max(exact))

    assert 0.95 < median(of_all) <= 1
    assert min(of_all) > 0.6
    assert quantiles(of_all, n=100)[97] < 1.02  # the order of asking is another one at times
    assert max(of_all) < 1.25


@pytest.mark.parametrize("case", [node, anything])
def test_in_events_a_further_slot_can_take_longer(case: Callable[[int], Case]) -> None:
    """Which is why the forecast is none of them."""
    of_all = []
    for seed in SEEDS:
        cold, puller, rates = case(seed)
        more = replace(puller, slots=2 * puller.slots)
        of_all.append(max(events(cold, more, rates)) / max(events(cold, puller, rates)))

    assert 1.05 < max(of_all) < 1.3
