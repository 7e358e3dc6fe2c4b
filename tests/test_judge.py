from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from k8sdiag.judge import judge
from k8sdiag.model import (
    Check,
    Fact,
    Finding,
    Limits,
    Metric,
    Missing,
    Outcome,
    Said,
    Severity,
    Snapshot,
    Status,
    Unseen,
    Usage,
)


class Tank(Fact, frozen=True, kw_only=True):
    full: int = 0


class Pump(Fact, frozen=True, kw_only=True):
    def __len__(self) -> int:
        return 0


class TankLimits(Limits, frozen=True, kw_only=True):
    most: int = 10


def over(tank: Tank, limits: TankLimits) -> Iterator[Said]:
    if tank.full > limits.most:
        yield Finding(code="over", severity=Severity.WARNING, subject="tank", message="too full")


def either(tank: Tank | Missing, pump: Pump | Missing) -> Iterator[Said]:
    for fact in (tank, pump):
        if isinstance(fact, Missing) and fact.asked:
            yield Unseen(subject="half of it", reason=fact.reason)
        if isinstance(fact, Tank):
            yield Metric(name="tank_full", help="How full.", value=fact.full)


def check(run: Callable[..., Iterator[Said]], **more: Any) -> Check:
    return Check(id="tank", title="The tank", run=run, **more)


OVER = check(over, needs={"tank": Tank}, limits=TankLimits())
EITHER = check(either, needs={"tank": Tank, "pump": Pump}, optional=frozenset({"tank", "pump"}))


def judged(
    what: Check, facts: dict[str, Fact], missing: dict[str, Missing] | None = None
) -> Outcome:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    snapshot = Snapshot(cluster="c", taken_at=when, facts=facts, missing=missing or {})
    (outcome,) = judge([what], snapshot).outcomes
    return outcome


def test_all_seen_and_nothing_wrong_is_ok() -> None:
    outcome = judged(OVER, {"Tank": Tank(full=10)})

    assert (outcome.status, outcome.reason, outcome.whole) == (Status.OK, "", True)


def test_a_finding_carries_the_id_and_page_of_its_check() -> None:
    (finding,) = judged(OVER, {"Tank": Tank(full=11)}).findings

    assert finding.code == "tank/over"
    assert finding.docs.endswith("/checks/tank.md")


def test_nothing_found_while_a_part_was_unseen_is_never_ok() -> None:
    outcome = judged(OVER, {"Tank": Tank(gaps={"north": "timed out after 5s"})})

    assert (outcome.status, outcome.whole) == (Status.PARTIAL, False)
    assert outcome.reason == "north: timed out after 5s"


def test_a_finding_beside_an_unseen_part_is_not_whole() -> None:
    outcome = judged(OVER, {"Tank": Tank(full=11, gaps={"north": "timed out"})})

    assert (outcome.status, outcome.whole) == (Status.FINDINGS, False)


def test_hundreds_of_gaps_are_summed_up() -> None:
    outcome = judged(OVER, {"Tank": Tank(gaps={f"n{i}": "refused" for i in range(200)})})

    assert outcome.reason == "n0: refused; n1: refused; n2: refused; and 197 more"


def test_a_missing_fact_skips_with_the_reason_of_its_source() -> None:
    outcome = judged(OVER, {}, {"Tank": Missing(reason="may not list tanks")})

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "may not list tanks")


def test_a_fact_that_no_source_gives_skips_too() -> None:
    assert judged(OVER, {}).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        pytest.param(Missing(reason="no pump was given"), Status.PARTIAL, id="asked for"),
        pytest.param(Missing(reason="", asked=False), Status.OK, id="not asked for"),
    ],
)
def test_an_optional_fact_is_the_checks_own_business(missing: Missing, status: Status) -> None:
    assert judged(EITHER, {"Tank": Tank()}, {"Pump": missing}).status is status


def test_with_none_of_its_optional_facts_a_check_is_skipped_and_says_each_reason_once() -> None:
    outcome = judged(EITHER, {}, {n: Missing(reason="no cluster") for n in ("Tank", "Pump")})

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "no cluster")


def test_a_fact_of_nothing_is_a_fact() -> None:
    assert judged(EITHER, {"Tank": Tank(), "Pump": Pump()}).status is Status.OK


def test_a_check_that_judged_nothing_of_what_it_got_is_skipped() -> None:
    def blind(tank: Tank) -> Iterator[Said]:
        yield Unseen(subject="the tank", reason="no light")

    outcome = judged(check(blind, needs={"tank": Tank}), {"Tank": Tank()})

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "the tank: no light")


def test_a_check_that_raises_is_our_bug_and_ends_nothing_else() -> None:
    def bad(tank: Tank) -> Iterator[Said]:
        raise KeyError("oops")
        yield

    outcome = judged(check(bad, needs={"tank": Tank}), {"Tank": Tank()})

    assert outcome.status is Status.ERROR
    assert "KeyError('oops')" in outcome.reason


def test_a_check_that_does_not_load_is_an_error_with_the_reason() -> None:
    broken = Check(id="acme", title="The plugin acme", broken="acme does not import: no module x")

    assert judged(broken, {}).status is Status.ERROR


def test_the_order_is_worst_first_whatever_the_check_yields_first() -> None:
    def said(tank: Tank) -> Iterator[Said]:
        for severity, subject in ((Severity.WARNING, "b"), (Severity.CRITICAL, "z")):
            yield Finding(code="x", severity=severity, subject=subject, message="m")
        for used in (1, 9):
            yield Usage(limit_id="l", subject="s", used=used, limit=10, unit="u", driver="nodes")

    outcome = judged(check(said, needs={"tank": Tank}), {"Tank": Tank()})

    assert [f.subject for f in outcome.findings] == ["z", "b"]
    assert [u.used for u in outcome.usages] == [9, 1]


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=["no number", "no end"])
def test_a_usage_that_is_no_number_was_not_seen(number: float) -> None:
    def lost(tank: Tank) -> Iterator[Said]:
        yield Usage(limit_id="l", subject="s", used=number, limit=10, unit="u", driver="nodes")
        yield Metric(name="tank_full", help="How full.", value=1.0)

    outcome = judged(check(lost, needs={"tank": Tank}), {"Tank": Tank()})

    assert (outcome.status, outcome.usages) == (Status.PARTIAL, ())
    assert outcome.reason.startswith("l of s: it reads as ")


def test_what_a_plugin_says_wrongly_is_its_bug_and_ends_nothing_else() -> None:
    def wrong(tank: Tank) -> Iterator[Said]:
        yield Finding(code="x", severity="bad", subject="s", message="m")  # type: ignore[arg-type]

    outcome = judged(check(wrong, needs={"tank": Tank}), {"Tank": Tank()})

    assert outcome.status is Status.ERROR


def test_metrics_have_one_order_whatever_the_check_yields_first() -> None:
    def said(tank: Tank) -> Iterator[Said]:
        for name, pool in (("b", "x"), ("a", "y"), ("a", "x")):
            yield Metric(name=name, help="h", value=1.0, labels={"pool": pool})

    outcome = judged(check(said, needs={"tank": Tank}), {"Tank": Tank()})

    assert [(m.name, m.labels["pool"]) for m in outcome.metrics] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
    ]


@pytest.mark.parametrize(("count", "kept"), [(50, 50), (51, 51), (20_000, 51)])
def test_of_one_kind_the_worst_are_told_and_the_others_as_one(count: int, kept: int) -> None:
    def many(tank: Tank) -> Iterator[Said]:
        for i in range(count):
            severity = Severity.CRITICAL if i == count - 1 else Severity.WARNING
            yield Finding(code="x", severity=severity, subject=f"s{i:05}", message="m")

    findings = judged(check(many, needs={"tank": Tank}), {"Tank": Tank()}).findings

    assert len(findings) == kept
    assert findings[0].subject == f"s{count - 1:05}"
    if count > 50:
        (others,) = [f for f in findings if f.subject == "others"]
        assert others.message.startswith(f"{count - 50:,} more of this kind, as s00049: m")
