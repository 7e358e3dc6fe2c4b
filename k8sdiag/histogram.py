"""Quantiles of a Prometheus histogram, as histogram_quantile of PromQL gives them."""

import sys
from collections.abc import Sequence

Bucket = tuple[float, float]  # (upper bound, how many observations were at most that)
UNBOUNDED = sys.float_info.max  # stands for +Inf in facts: JSON, and so a snapshot, has no infinity


def upper_bound(le: str) -> float:
    """The upper bound that a bucket's label tells. Raises ValueError for a text that is none."""
    return min(float(le), UNBOUNDED)


def quantile(share: float, buckets: Sequence[Bucket]) -> float | None:
    """The value that a share (0 to 1) of the observations did not exceed; None without any.

    Linear within a bucket, the lowest of which begins at 0; what lies above the last finite bound
    is given as that bound (https://prometheus.io/docs/prometheus/latest/querying/functions/).
    """
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] <= 0:
        return None
    wanted = share * ordered[-1][1]
    start, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted and count > below:
            if bound >= UNBOUNDED:
                return start
            return start + (bound - start) * (wanted - below) / (count - below)
        start, below = bound, max(below, count)
    return start


def above(value: float, buckets: Sequence[Bucket]) -> float:
    """How many observations were surely larger: those beyond the first bound at or above it."""
    ordered = sorted(buckets)
    if not ordered:
        return 0.0
    return ordered[-1][1] - next(count for bound, count in ordered if bound >= value)


def between(first: Sequence[Bucket], second: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """What came to the buckets from the first look to the second; () after a restart between."""
    before = dict(first)
    delta = tuple((bound, count - before.get(bound, 0.0)) for bound, count in sorted(second))
    return () if any(count < 0 for _, count in delta) else delta
