"""The kubelets' counted pulls out of the answers to three queries."""

import pytest

from k8sdiag.facts.pulls import PullTimes, SizeClass
from k8sdiag.histogram import UNBOUNDED
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus
from k8sdiag.sources.pull_times_prometheus import collect

MIB = 1 << 20


class Scraped(Prometheus):
    """Answers by what the query is about."""

    def __init__(
        self, buckets: list[tuple[Labels, float]], taken: float = 0.0, pulling: float | None = None
    ) -> None:
        super().__init__("http://prometheus.example:9090")
        self.buckets, self.taken, self.pulling = buckets, taken, pulling

    def instant(self, promql: str) -> list[tuple[Labels, float]]:
        if "_bucket" in promql:
            assert 'image_size_in_bytes!~"N/A|0-10MB|10MB-100MB"' in promql
            return self.buckets
        if "pull_image" in promql:
            return [] if self.pulling is None else [({}, self.pulling)]
        return [({}, self.taken)]


def bucket(size: str, le: str, cluster: str = "") -> Labels:
    return {"image_size_in_bytes": size, "le": le} | ({"cluster": cluster} if cluster else {})


FEW = [(bucket("100MB-500MB", "1"), 2.0), (bucket("100MB-500MB", "+Inf"), 7.0)]


def test_classes_of_sizes_by_their_labels() -> None:
    more = [
        (bucket("500MB-1GB", "5.0"), 1.0),
        (bucket("GT100GB", "3600.0"), 1.0),
        (bucket("what comes later", "1"), 9.0),
    ]

    fact = collect(Scraped([*FEW, *more], taken=200, pulling=50))

    assert fact == PullTimes(
        classes=(
            SizeClass(100.0 * MIB, 500.0 * MIB, ((1.0, 2.0), (UNBOUNDED, 7.0))),
            SizeClass(500.0 * MIB, 1024.0 * MIB, ((5.0, 1.0),)),
            SizeClass(102_400.0 * MIB, UNBOUNDED, ((3600.0, 1.0),)),
        ),
        pulling_share=0.25,
        provenance="kubelet_image_pull_duration_seconds in "
        "Prometheus at http://prometheus.example:9090",
    )


@pytest.mark.parametrize(
    ("taken", "pulling"),
    [
        pytest.param(200, None, id="the runtime's calls are not kept"),
        pytest.param(200, 300, id="calls that failed count as well"),
        pytest.param(0, 0, id="nothing was pulled"),
    ],
)
def test_where_the_wait_is_not_known_there_was_none(taken: float, pulling: float | None) -> None:
    assert collect(Scraped(FEW, taken, pulling)).pulling_share == 1


@pytest.mark.parametrize(
    ("buckets", "words"),
    [
        pytest.param([], "kubelets have it from 1.30 on", id="no such pulls"),
        pytest.param(
            [(bucket("500MB-1GB", "1", c), 1.0) for c in ("a", "b")],
            r"several clusters \(a, b\)",
            id="another cluster's too",
        ),
    ],
)
def test_what_is_not_of_this_cluster_is_not_taken(
    buckets: list[tuple[Labels, float]], words: str
) -> None:
    with pytest.raises(Unavailable, match=words):
        collect(Scraped(buckets))
