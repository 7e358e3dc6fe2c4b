"""Rates from counted pulls: the model has to give their times back."""

import pytest

from k8sdiag.coldstart import Puller, Rates, image_of, pull_seconds
from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.facts.pulls import PullTimes, SizeClass
from k8sdiag.histogram import UNBOUNDED
from k8sdiag.pulls.downloads import by_default
from k8sdiag.pulls.metric_rates import measured_by_metrics
from k8sdiag.pulls.rates import Measured

MIB, GIB = 1 << 20, 1 << 30
CONTAINERD = Node(name="n1", runtime="containerd://2.0.6")
CRIO = Node(name="n2", runtime="cri-o://1.33.1")
BOUNDS = (1, 5, 10, 20, 30, 60, 120, UNBOUNDED)


def pulled(*each: float, least: float = GIB, most: float = 5 * GIB) -> SizeClass:
    """Pulls that took so many seconds each."""
    return SizeClass(least, most, tuple((le, sum(s <= le for s in each)) for le in BOUNDS))


def found(
    *classes: SizeClass,
    nodes: tuple[Node, ...] = (CONTAINERD,),
    sizes: tuple[int, ...] = (2 * GIB,),
    pulling: float = 1.0,
) -> dict[str, Measured]:
    held = tuple(Image(names=(f"r.io/{i}:v1",), size_bytes=size) for i, size in enumerate(sizes))
    of = Nodes(nodes=nodes, images=held)
    times = PullTimes(classes=classes, pulling_share=pulling, provenance="its metrics")
    return measured_by_metrics(times, of, by_default, Rates(), enough=10)


@pytest.mark.parametrize(
    ("classes", "nodes"),
    [
        pytest.param([], (CONTAINERD,), id="none"),
        pytest.param([pulled(*[45] * 9)], (CONTAINERD,), id="too few"),
        pytest.param([pulled(*[0.4] * 99, *[45] * 9)], (CONTAINERD,), id="most were there"),
        pytest.param([pulled(*[45] * 99)], (CONTAINERD, CRIO), id="sizes of two meanings"),
        pytest.param([pulled(*[45] * 99)], (), id="no nodes"),
        pytest.param(
            [pulled(*[3] * 99, least=30 * GIB, most=40 * GIB)],
            (CONTAINERD,),
            id="faster than the link",
        ),
    ],
)
def test_what_tells_too_little_is_left_out(
    classes: list[SizeClass], nodes: tuple[Node, ...]
) -> None:
    assert found(*classes, nodes=nodes) == {}


@pytest.mark.parametrize(
    ("each", "seconds"),
    [
        pytest.param([45] * 20, 45, id="the middle of what its bucket holds"),
        pytest.param([45] * 20 + [0.3] * 80, 45, id="those that were there left out"),
        pytest.param([25] * 9 + [45] * 13 + [90] * 8, 44, id="the median of several"),
    ],
)
def test_the_model_gives_the_median_back(each: list[float], seconds: float) -> None:
    got = found(pulled(*each))["*"]
    image = image_of(2 * GIB, CONTAINERD.runtime, Rates())

    assert pull_seconds(image, Puller(), got.rates) == pytest.approx(seconds, rel=0.03)
    assert pull_seconds(image, Puller(), got.slow) > pull_seconds(image, Puller(), got.rates)
    count = sum(s > 1 for s in each)
    assert got.words.startswith(f"{count} pulls of its own (its metrics), median ")


def test_the_time_in_the_queue_is_taken_off() -> None:
    whole, third = found(pulled(*[90] * 20))["*"], found(pulled(*[90] * 20), pulling=1 / 3)["*"]

    faster = third.rates.stream_bytes_per_second / whole.rates.stream_bytes_per_second
    assert faster == pytest.approx(3, rel=0.03)


def test_a_class_of_which_no_node_lists_an_image_has_the_middle_of_its_bounds() -> None:
    middle = found(pulled(*[45] * 20, least=GIB, most=4 * GIB), sizes=())["*"]

    assert middle == found(pulled(*[45] * 20, least=GIB, most=4 * GIB))["*"]


def test_sizes_without_a_bound_are_the_least() -> None:
    huge = pulled(*[90] * 20, least=8 * GIB, most=UNBOUNDED)

    got = found(huge)["*"]

    assert got.mib_per_second == pytest.approx(8 * GIB / 90 / MIB, rel=0.03)


def test_many_pulls_cost_no_more_than_a_thousand() -> None:
    few, many = found(pulled(*[45] * 1000))["*"], found(pulled(*[45] * 30_000))["*"]

    assert many.pulls == 30_000
    assert many.rates == few.rates
