import threading
import time
from collections.abc import Callable

from k8sdiag.collect import collect
from k8sdiag.model import Cost, Fact, Missing, NotAsked, Snapshot, Unavailable
from k8sdiag.plugins import Source


class Sea(Fact, frozen=True, kw_only=True):
    level: int = 0


class Wind(Fact, frozen=True, kw_only=True):
    pass


class Door:
    def __init__(self) -> None:
        self.cost = Cost(api_requests=2, api_bytes=10)


class OtherDoor:
    pass


def source(
    run: Callable[..., Fact],
    fact: type[Fact] = Sea,
    door: type = Door,
    name: str = "s",
    rank: int = 0,
) -> Source:
    return Source(name=name, collect=run, door=door, fact=fact, rank=rank)


def look(*sources: Source, deadline: float = 10) -> Snapshot:
    given: dict[type, object] = {Door: Door(), OtherDoor: OtherDoor()}
    return collect(sources, given, cluster="c", deadline_seconds=deadline)


def no(why: str) -> Callable[[object], Fact]:
    def collect(_: object) -> Fact:
        raise Unavailable(why)

    return collect


def test_facts_are_kept_by_the_name_of_their_type() -> None:
    snapshot = look(source(lambda _: Sea(level=3)))

    assert snapshot.facts == {"Sea": Sea(level=3)}
    assert snapshot.missing == {}


def test_a_source_that_fails_costs_its_own_fact_only() -> None:
    snapshot = look(source(no("fog")), source(lambda _: Wind(), Wind))

    assert snapshot.missing == {"Sea": Missing(reason="fog")}
    assert snapshot.facts == {"Wind": Wind()}


def test_a_source_that_nobody_wants_to_look_is_not_one_that_failed() -> None:
    def unwanted(_: object) -> Fact:
        raise NotAsked("add --sea")

    alone = look(source(unwanted)).missing["Sea"]
    beside = look(source(unwanted), source(no("fog"))).missing["Sea"]

    assert alone == Missing(reason="add --sea", asked=False)
    assert (beside.asked, "fog" in beside.reason) == (True, True)


def test_reasons_come_in_one_order_whoever_is_first() -> None:
    def late(_: object) -> Fact:
        time.sleep(0.1)
        raise Unavailable("fog")

    for slow, quick in ((late, no("ice")), (no("fog"), no("ice"))):
        snapshot = look(source(slow, door=Door), source(quick, door=OtherDoor))
        assert snapshot.missing["Sea"].reason == "fog; ice"


def test_what_was_asked_in_vain_is_said_before_what_was_not_asked() -> None:
    unasked = Missing(reason="add --sea", asked=False)
    doors: dict[type, object] = {Door: unasked, OtherDoor: OtherDoor()}
    sources = [source(no("unused")), source(no("fog"), door=OtherDoor)]

    snapshot = collect(sources, doors, cluster="c")

    assert snapshot.missing["Sea"] == Missing(reason="fog; add --sea", asked=True)


def test_a_source_that_raises_is_called_a_bug() -> None:
    snapshot = look(source(lambda _: Sea(level=1 // 0), name="tide"))

    assert "a bug of the source tide" in snapshot.missing["Sea"].reason


def test_the_first_source_that_can_wins_and_leaves_no_complaint() -> None:
    snapshot = look(source(no("fog")), source(lambda _: Sea(level=7)))

    assert snapshot.facts == {"Sea": Sea(level=7)}
    assert snapshot.missing == {}


def test_of_two_doors_the_better_source_wins_even_if_it_is_slower() -> None:
    def slow(_: object) -> Sea:
        time.sleep(0.1)
        return Sea(level=7)

    snapshot = look(source(lambda _: Sea(level=1), rank=1), source(slow, door=OtherDoor))

    assert snapshot.facts == {"Sea": Sea(level=7)}


def test_two_doors_that_both_fail_give_both_reasons() -> None:
    snapshot = look(source(no("fog")), source(no("dark"), door=OtherDoor))

    assert {"fog", "dark"} == set(snapshot.missing["Sea"].reason.split("; "))


def test_a_closed_door_gives_its_reason_to_every_fact_behind_it() -> None:
    closed = Missing(reason="no kubeconfig", asked=False)
    snapshot = collect([source(lambda _: Sea())], {Door: closed}, cluster="c")

    assert snapshot.missing == {"Sea": closed}


def test_one_door_is_used_by_one_source_at_a_time() -> None:
    inside = threading.Semaphore(1)

    def alone(_: object) -> Fact:
        assert inside.acquire(blocking=False), "two sources at one door"
        time.sleep(0.02)
        inside.release()
        return Sea()

    snapshot = look(source(alone), source(lambda d: alone(d) and Wind(), Wind))

    assert set(snapshot.facts) == {"Sea", "Wind"}


def test_a_source_that_hangs_was_asked_though_another_was_not() -> None:
    """Else the fact would count as one that nobody wanted, and its checks as whole."""

    def unwanted(_: object) -> Fact:
        raise NotAsked("give --sea")

    ended = threading.Event()
    hanging = source(lambda _: (ended.wait(20), Sea())[1], door=OtherDoor)
    snapshot = look(source(unwanted), hanging, deadline=0.1)
    ended.set()

    assert snapshot.missing == {
        "Sea": Missing(reason="it did not answer within 0.1s; give --sea", asked=True)
    }


def test_a_hanging_source_is_given_up_at_the_deadline() -> None:
    ended = threading.Event()
    snapshot = look(source(lambda _: (ended.wait(20), Sea())[1]), deadline=0.1)
    ended.set()

    assert "did not answer within 0.1s" in snapshot.missing["Sea"].reason


def test_what_looking_cost_is_added_up() -> None:
    cost = look(source(lambda _: Sea())).cost

    assert (cost.api_requests, cost.api_bytes) == (2, 10)
    assert cost.peak_rss_bytes > 1_000_000


def test_a_source_that_wants_to_be_last_looks_when_the_others_have() -> None:
    order = []

    def seen(name: str, fact: Fact) -> Callable[[object], Fact]:
        def collect(_: object) -> Fact:
            order.append(name)
            return fact

        return collect

    last = Source(name="a", collect=seen("last", Sea()), door=Door, fact=Sea, last=True)
    look(last, source(seen("first", Wind()), Wind))

    assert order == ["first", "last"]
