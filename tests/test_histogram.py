import json

import pytest

from k8sdiag.histogram import above, between, quantile, upper_bound

INF = float("inf")


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        pytest.param([(0.1, 50), (0.2, 100), (INF, 100)], 0.198, id="within a bucket"),
        pytest.param([(0.1, 100), (INF, 100)], 0.099, id="the lowest begins at 0"),
        pytest.param([(0.1, 90), (0.2, 90), (0.4, 100), (INF, 100)], 0.38, id="past an empty one"),
        pytest.param([(0.1, 50), (INF, 100)], 0.1, id="beyond the last bound"),
        pytest.param([(INF, 100), (0.1, 100)], 0.099, id="in any order"),
        pytest.param([(0.1, 0), (INF, 0)], None, id="nothing observed"),
        pytest.param([], None, id="no buckets"),
    ],
)
def test_the_99th_percentile(buckets: list[tuple[float, float]], expected: float | None) -> None:
    found = quantile(0.99, buckets)

    assert found == (None if expected is None else pytest.approx(expected))


def test_those_that_were_surely_larger() -> None:
    buckets = [(0.1, 5.0), (0.2, 8.0), (INF, 10.0)]

    assert above(0.1, buckets) == 5
    assert above(0.15, buckets) == 2
    assert above(0.1, []) == 0


def test_between_two_looks() -> None:
    first, second = [(0.1, 5.0), (INF, 7.0)], [(0.1, 6.0), (INF, 9.0)]

    assert between(first, second) == ((0.1, 1.0), (INF, 2.0))
    assert between(second, first) == ()  # it was started anew


def test_the_last_bound_survives_a_snapshot() -> None:
    last = upper_bound("+Inf")

    assert json.loads(json.dumps(last)) == last
    assert quantile(0.99, [(upper_bound("0.1"), 50), (last, 100)]) == 0.1
    assert upper_bound("0.25") == 0.25
