"""Rates from pulls that happened: the model has to give their times back."""

import pytest

from k8sdiag.coldstart import MIB, Puller, Rates, image_of, pull_seconds
from k8sdiag.facts.nodes import Node
from k8sdiag.facts.pulls import Pull
from k8sdiag.pulls.downloads import by_default
from k8sdiag.pulls.rates import Measured, measured

NODES = (
    Node(name="n1", pool="p", runtime="containerd://2.0.6"),
    Node(name="n2", pool="q", runtime="cri-o://1.33.1"),
)
SIZE = 2 * 10**9


def pull(seconds: float | None = 60.0, *, node: str = "n1", size: int = SIZE) -> Pull:
    return Pull(image="r.io/a:1", node=node, seconds=seconds, size_bytes=size)


def found(*pulls: Pull, enough: int = 10) -> dict[str, Measured]:
    return measured(pulls, NODES, by_default, Rates(), enough=enough)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(pull(size=0), id="no size"),
        pytest.param(pull(size=10**7), id="a small image"),
        pytest.param(pull(0.9), id="layers that were there"),
        pytest.param(pull(1.4), id="faster than the link"),
        pytest.param(pull(None), id="a time that includes waiting"),
        pytest.param(pull(node="gone"), id="a node that is gone"),
    ],
)
def test_what_tells_nothing_is_left_out(other: Pull) -> None:
    assert found(*[pull()] * 9, other) == {}


@pytest.mark.parametrize("node", NODES, ids=lambda n: n.runtime)
@pytest.mark.parametrize("seconds", [10.0, 60.0, 300.0])
def test_the_model_gives_the_median_back(node: Node, seconds: float) -> None:
    got = found(*[pull(seconds, node=node.name)] * 10)
    streams = 6 if node.runtime.startswith("cri-o") else 3
    image = image_of(SIZE, node.runtime, Rates())

    assert got.keys() == {"*", node.pool}
    again = pull_seconds(image, Puller(streams=streams), got["*"].rates)
    assert again == pytest.approx(seconds, rel=0.01)
    rate = image.compressed_bytes / (seconds - 0.5) / MIB
    assert got["*"].mib_per_second == pytest.approx(rate)


def test_the_slowest_tenth_is_slower_than_the_median() -> None:
    got = found(*[pull(60.0)] * 18, *[pull(240.0)] * 3)["*"]
    image = image_of(SIZE, NODES[0].runtime, Rates())

    assert pull_seconds(image, Puller(), got.rates) == pytest.approx(60, rel=0.01)
    assert pull_seconds(image, Puller(), got.slow) == pytest.approx(240, rel=0.01)
    assert got.words == "21 pulls of its own, median 32 MiB/s"


def test_a_pool_has_rates_of_its_own_when_it_pulled_enough() -> None:
    got = found(*[pull(60.0)] * 10, *[pull(90.0, node="n2")] * 9)

    assert got.keys() == {"*", "p"}
