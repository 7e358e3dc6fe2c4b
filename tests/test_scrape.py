"""What one scrape of the node exporter looks at, waits for, and says of the looking."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric as Family

from k8sdiag import plugins, scrape
from k8sdiag.model import Check, Fact, Metric, Unavailable
from k8sdiag.plugins import Source
from k8sdiag.readers.host import Host

RECORDED = Path(__file__).parent / "testdata" / "neighbor"


class Quick(Fact, frozen=True, kw_only=True):
    number: int = 0


class Slow(Fact, frozen=True, kw_only=True):
    number: int = 0


def number_of(name: str, fact: type[Fact]) -> Check:
    def run(**facts: Quick | Slow) -> Iterator[Metric]:
        (seen,) = facts.values()
        yield Metric(name=name, help="A number.", value=float(seen.number))

    return Check(id=name, title=name, run=run, needs={"seen": fact})


CHECKS = [number_of("quick", Quick), number_of("slow", Slow)]


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    found: list[Source] = []
    monkeypatch.setattr(plugins, "sources", lambda: (found, {}))
    return found


def series(found: Iterator[Family]) -> dict[tuple[str, str], float]:
    samples = (s for family in found for s in family.samples)
    return {(s.name, next(iter(s.labels.values()), "")): s.value for s in samples}


def host() -> Host:
    return Host(procfs=RECORDED / "near" / "proc", look_seconds=0)


def test_a_slow_collector_costs_its_own_series_and_is_not_started_twice(
    sources: list[Source],
) -> None:
    release, begun = threading.Event(), itertools.count()

    def slow(_: Host) -> Slow:
        next(begun)
        release.wait(30)
        return Slow(number=2)

    sources += [
        Source(name="quick", collect=lambda _: Quick(number=1), door=Host, fact=Quick),
        Source(name="slow", collect=slow, door=Host, fact=Slow),
    ]
    scraped = scrape.node(CHECKS, host())

    begin = time.monotonic()
    for _ in range(3):
        found = series(iter(scraped(0.1)))
        assert found["k8sdiag_quick", ""] == 1
        assert ("k8sdiag_slow", "") not in found
        assert found["k8sdiag_check_success", "quick"] == 1
        assert found["k8sdiag_check_success", "slow"] == 0
        assert found["k8sdiag_scrape_collector_success", "quick"] == 1
        assert found["k8sdiag_scrape_collector_success", "slow"] == 0
        assert found["k8sdiag_scrape_collector_duration_seconds", "slow"] >= 0.1
    assert time.monotonic() - begin < 5

    release.set()
    deadline = time.monotonic() + 10
    while series(iter(scraped(0.1))).get(("k8sdiag_slow", "")) != 2:
        assert time.monotonic() < deadline
    assert next(begun) >= 1


@pytest.mark.parametrize("error", [Unavailable("no right"), ValueError("a bug"), KeyError("x")])
def test_a_collector_that_fails_costs_its_own_series(
    error: Exception, sources: list[Source]
) -> None:
    def failing(_: Host) -> Slow:
        raise error

    sources += [
        Source(name="quick", collect=lambda _: Quick(number=1), door=Host, fact=Quick),
        Source(name="slow", collect=failing, door=Host, fact=Slow),
    ]

    found = series(iter(scrape.node(CHECKS, host())(5)))

    assert found["k8sdiag_quick", ""] == 1
    assert found["k8sdiag_check_success", "slow"] == 0
    assert found["k8sdiag_scrape_collector_success", "slow"] == 0


def test_the_kernel_is_asked_at_each_scrape_and_files_are_kept(sources: list[Source]) -> None:
    kernel, files = itertools.count(1), itertools.count(1)
    sources += [
        Source(name="q", collect=lambda _: Quick(number=next(kernel)), door=Host, fact=Quick),
        Source(
            name="s",
            collect=lambda _: Slow(number=next(files)),
            door=Host,
            fact=Slow,
            keep_seconds=60,
        ),
    ]
    scraped = scrape.node(CHECKS, host())

    first, second = (series(iter(scraped(5))) for _ in range(2))

    assert [s["k8sdiag_quick", ""] for s in (first, second)] == [1, 2]
    assert [s["k8sdiag_slow", ""] for s in (first, second)] == [1, 1]
    age = "k8sdiag_scrape_collector_age_seconds"
    assert first[age, "slow"] < second[age, "slow"] < 60
    assert (age, "quick") not in first


def test_what_was_kept_too_long_is_looked_at_again(sources: list[Source]) -> None:
    numbers = itertools.count(1)
    source = Source(
        name="s",
        collect=lambda _: Quick(number=next(numbers)),
        door=Host,
        fact=Quick,
        keep_seconds=0.01,
    )
    sources.append(source)
    scraped = scrape.node(CHECKS[:1], host())

    assert series(iter(scraped(5)))["k8sdiag_quick", ""] == 1
    time.sleep(0.02)
    assert series(iter(scraped(5)))["k8sdiag_quick", ""] == 2


def test_what_is_too_dear_for_a_scrape_is_not_looked_at(sources: list[Source]) -> None:
    def dear(_: Host) -> Quick:
        raise AssertionError("this takes seconds")

    sources.append(Source(name="q", collect=dear, door=Host, fact=Quick, per_scrape=False))

    found = series(iter(scrape.node(CHECKS[:1], host())(5)))

    assert not [name for name, _ in found if "collector" in name]


def test_ten_scrapes_at_once_are_each_whole(sources: list[Source]) -> None:
    numbers = itertools.count(1)

    def quick(_: Host) -> Quick:
        time.sleep(0.01)
        return Quick(number=next(numbers))

    sources += [
        Source(name="q", collect=quick, door=Host, fact=Quick),
        Source(name="s", collect=lambda _: Slow(number=7), door=Host, fact=Slow),
    ]
    scraped = scrape.node(CHECKS, host())

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: series(iter(scraped(5))), range(10)))

    assert {frozenset(f) for f in found} == {frozenset(found[0])}
    assert all(1 <= f["k8sdiag_quick", ""] <= 10 and f["k8sdiag_slow", ""] == 7 for f in found)


def test_a_host_without_a_thread_to_spare_is_still_told_of(
    sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sources.append(Source(name="q", collect=lambda _: Quick(number=1), door=Host, fact=Quick))
    scraped = scrape.node(CHECKS[:1], host())
    monkeypatch.setattr(threading.Thread, "start", none_left)

    assert series(iter(scraped(5)))["k8sdiag_quick", ""] == 1
