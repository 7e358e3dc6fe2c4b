"""What the node exporter runs at each scrape: look at this host, judge, say how the look went."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, TimeoutError  # noqa: A004 - it is the built-in one
from datetime import UTC, datetime

from msgspec import Struct

from k8sdiag import plugins
from k8sdiag.collect import first, joined
from k8sdiag.exposition import Family
from k8sdiag.families import families, looks
from k8sdiag.judge import judge
from k8sdiag.model import Check, Fact, Missing, Snapshot, Waiver
from k8sdiag.plugins import Source
from k8sdiag.readers.host import Host
from k8sdiag.run import NOT_ASKED, sources_of
from k8sdiag.waivers import waive


class Seen(Struct, frozen=True):
    """One look of a collector; on the monotonic clock `at` is when it began."""

    fact: Fact | None
    missing: Missing
    at: float
    seconds: float


class Collector:
    """Looks for one fact. Scrapes at the same time share a look, and a slow one is waited for
    no longer than the scrape may take; it goes on, and no second one begins beside it."""

    def __init__(self, sources: list[Source], host: Host) -> None:
        self.sources = sources
        self.keep_seconds = max(s.keep_seconds for s in sources)
        self._host = host
        self._lock = threading.Lock()
        self._look: Future[Seen] | None = None

    def ask(self) -> "Future[Seen]":
        with self._lock:
            if self._look is None or self._is_old(self._look):
                look: Future[Seen] = Future()
                try:
                    threading.Thread(target=self._run, args=(look,), daemon=True).start()
                except RuntimeError:  # the host is out of threads, which is worth telling
                    self._run(look)
                self._look = look
            return self._look

    def _is_old(self, look: "Future[Seen]") -> bool:
        return look.done() and time.monotonic() - look.result().at >= self.keep_seconds

    def _run(self, look: "Future[Seen]") -> None:
        begin = time.monotonic()
        fact, why = first(self.sources, self._host)  # never raises
        look.set_result(Seen(fact, joined(why), begin, time.monotonic() - begin))


def node(
    checks: Iterable[Check], host: Host, waivers: Sequence[Waiver] = ()
) -> Callable[[float], Iterable[Family]]:
    """A function that gives within so many seconds what a scrape gets."""
    checks = list(checks)
    known = sources_of(checks, plugins.sources()[0])
    elsewhere = {s.fact.__name__: NOT_ASKED for s in known}
    grouped: dict[str, list[Source]] = {}
    for source in known:
        if source.door is Host and source.per_scrape:
            grouped.setdefault(source.fact.__name__, []).append(source)
    collectors = {name: Collector(sources, host) for name, sources in sorted(grouped.items())}

    def scrape(seconds: float) -> Iterable[Family]:
        begin = time.monotonic()
        asked = {name: collector.ask() for name, collector in collectors.items()}
        facts: dict[str, Fact] = {}
        missing = dict(elsewhere)
        took: dict[str, float] = {}
        ages: dict[str, float] = {}
        for name, look in asked.items():
            try:
                seen = look.result(max(0.0, begin + seconds - time.monotonic()))
            except TimeoutError:
                took[name] = time.monotonic() - begin
                missing[name] = Missing(reason=f"it did not answer within {seconds:.1f}s")
                continue
            took[name] = seen.seconds
            if collectors[name].keep_seconds:
                ages[name] = max(0.0, begin - seen.at)
            if seen.fact is None:
                missing[name] = seen.missing
            else:
                facts[name] = seen.fact
        snapshot = Snapshot(
            cluster=host.name,
            taken_at=datetime.now(UTC),
            facts=facts,
            missing={name: why for name, why in missing.items() if name not in facts},
            seconds=took,
        )
        yield from families(waive(judge(checks, snapshot), waivers), states=False)
        yield from looks(snapshot, ages)

    return scrape
