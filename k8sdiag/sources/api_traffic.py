"""What one API server does now: its /metrics twice, some seconds apart.

The first look is the page that other sources have read at the beginning, this is the second:
on a large cluster minutes are between them at no cost.
"""

import math
import time
from typing import NamedTuple

from k8sdiag.facts.api_traffic import ApiTraffic
from k8sdiag.model import Unavailable
from k8sdiag.readers.exposition import samples
from k8sdiag.readers.kubernetes import METRICS, Kubernetes
from k8sdiag.sources._api_traffic import BOUNDS, DISPATCHED, DURATIONS, REFUSED, Growth, traffic

PERMISSIONS = (METRICS,)
RANK = 1  # Prometheus sees all API servers, and a longer window
LAST = True
STARTED = "process_start_time_seconds"
TWO_SERVERS = (
    "the two looks at /metrics were answered by different API servers, or it was started anew: "
    "their counters have no difference; give --prometheus URL"
)

_Series = tuple[str, tuple[tuple[str, str], ...]]  # name, labels


class _Look(NamedTuple):
    came: float  # time.monotonic()
    started: float  # when the process did: there are no two servers with the same
    durations: str  # the histogram that it has, of DURATIONS
    counts: dict[_Series, float]


def collect(reader: Kubernetes) -> ApiTraffic:
    """Raises Unavailable when /metrics can't be read, and when two servers answered."""
    first = _read(*reader.metrics_since(-math.inf))
    time.sleep(max(0.0, first.came + reader.look_seconds - time.monotonic()))
    second = _read(*reader.metrics_since(math.inf))
    if first.started != second.started:
        raise Unavailable(TWO_SERVERS)
    seconds = second.came - first.came
    return traffic(
        # What was not there has counted nothing yet: it is the same process.
        (Growth(k[0], dict(k[1]), n - first.counts.get(k, 0.0)) for k, n in second.counts.items()),
        seconds=seconds,
        servers=1,
        durations=second.durations,
        provenance=f"/metrics of one API server, twice within {seconds:.0f} s",
    )


def _read(came: float, page: bytes) -> _Look:
    durations = next((n for n in DURATIONS if f"\n{n}_count{{".encode() in page), "")
    names = [DISPATCHED, REFUSED, STARTED]
    names += [durations + end for end in ("_bucket", "_count") if durations]
    try:
        found = list(samples(page, *names, bounds=BOUNDS))
    except ValueError as error:
        raise Unavailable(f"the API server's /metrics is no Prometheus page: {error}") from error
    started = next((s.value for s in found if s.name == STARTED), 0.0)
    if not started:
        raise Unavailable(f"the API server's /metrics has no {STARTED}: whose it is, is not known")
    counts = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found}
    return _Look(came, started, durations, counts)
