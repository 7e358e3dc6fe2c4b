"""What the cluster exporter serves: the report of a look that is taken in the background."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from k8sdiag import plugins
from k8sdiag.collect import collect
from k8sdiag.doors import Target, opened
from k8sdiag.exposition import Family
from k8sdiag.families import families, gauge
from k8sdiag.judge import judge
from k8sdiag.model import Check, ConfigError, Missing, Report, Unavailable, Waiver
from k8sdiag.readers.host import Host
from k8sdiag.run import sources_of
from k8sdiag.waivers import waive

log = logging.getLogger(__name__)

# Of all subjects of one limit those nearest to it, and as many series of one metric: so 5,000
# nodes stay far below 10,000 series. What is left out is counted.
MOST_USAGES = 20
MOST_SERIES = 100
RETRY_SECONDS = 15.0  # until the first look has succeeded
ELSEWHERE = Missing(
    reason="the cluster exporter does not look at its own host: run `k8sdiag serve node` there",
    asked=False,
)
TOO_DEAR = Missing(reason="too dear to be read again and again: run `k8sdiag audit`", asked=False)


class Refresh:
    """Looks again every `interval_seconds`. A look that fails keeps the last report as it is."""

    def __init__(
        self, look: Callable[[], Report], interval_seconds: float, told: threading.Event
    ) -> None:
        self._look = look
        self._interval_seconds = interval_seconds
        self._told = told
        self._served: list[Family] = []
        self._success = False
        self._seconds = 0.0
        self.fault: ConfigError | None = None  # the user's own, found at the first look

    def ready(self) -> bool:
        return bool(self._served)

    def run(self) -> None:
        """Until told to end; or until the first look finds that the options can't be right."""
        while not self._told.is_set():
            begin = time.monotonic()
            try:
                self._take(self._look())
            except ConfigError as error:
                if not self._served:
                    self.fault = error
                    self._told.set()
                    return
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the next look may be better
                self._failed(error)
            self._seconds = time.monotonic() - begin
            # After the look, however long it took: a cluster that answers slowly gets its rest.
            first = min(RETRY_SECONDS, self._interval_seconds)
            self._told.wait(self._interval_seconds if self.ready() else first)

    def _take(self, report: Report) -> None:
        capped = families(report, most_usages=MOST_USAGES, most_series=MOST_SERIES)
        cost = report.cost
        self._served = [
            *capped,
            _one("snapshot_api_requests", "Requests of the last good look.", cost.api_requests),
            _one("snapshot_api_bytes", "Bytes of the replies to them.", cost.api_bytes),
        ]
        self._success = True

    def _failed(self, error: Exception) -> None:
        self._success = False
        log.error("looking at the cluster failed: %s", error)

    def scrape(self, _seconds: float) -> Iterable[Family]:
        yield from self._served
        yield _one(
            "snapshot_refresh_success",
            "Whether the last look succeeded; if not, all else here is of the last good one.",
            self._success,
        )
        yield _one(
            "snapshot_refresh_duration_seconds",
            "How long the last look took, good or not.",
            self._seconds,
        )


def _one(name: str, help_: str, value: float) -> Family:
    return gauge(name, help_, [({}, value)])


def look_at_cluster(
    checks: Iterable[Check], target: Target, waivers: Sequence[Waiver] = ()
) -> Callable[[], Report]:
    """A function that looks at the cluster, not at this host, and judges it.

    It raises Unavailable when nothing at all could be seen.
    """
    checks = list(checks)
    found = sources_of(checks, plugins.sources()[0])
    sources = [s for s in found if s.per_scrape or s.door is Host]
    too_dear = {s.fact.__name__ for s in found} - {s.fact.__name__ for s in sources}

    def look() -> Report:
        with opened(target, lambda *_: None) as (doors, cluster):
            snapshot = collect(sources, doors | {Host: ELSEWHERE}, cluster=cluster)
        if not snapshot.facts:
            parts = (m.reason.split("; ") for m in snapshot.missing.values() if m.asked)
            raise Unavailable("; ".join(dict.fromkeys(part for each in parts for part in each)))
        left_out = dict.fromkeys(too_dear, TOO_DEAR)
        snapshot = replace(snapshot, missing=snapshot.missing | left_out)
        return waive(judge(checks, snapshot), waivers)

    return look
