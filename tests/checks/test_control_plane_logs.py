"""When lines of a log are a finding, and when they are history or noise."""

from datetime import UTC, datetime, timedelta

import pytest

from k8sdiag.checks.control_plane_logs import MEANINGS, ControlPlaneLogLimits, check
from k8sdiag.facts.control_plane_logs import ControlPlaneLogs, Match, PodLog
from k8sdiag.failuretexts import API_SERVER, ETCD, TEXTS
from k8sdiag.model import Finding, Severity, Unseen

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def log(component: str, *matches: Match, pod: str = "kube-system/a") -> PodLog:
    return PodLog(pod=pod, component=component, lines=100, matches=matches)


def match(name: str, lines: int = 1, *, ago: float = 60, since: float = 0) -> Match:
    last = NOW - timedelta(seconds=ago)
    return Match(name=name, lines=lines, first=last - timedelta(seconds=since), last=last)


def codes(*logs: PodLog) -> dict[str, Severity]:
    fact = ControlPlaneLogs(logs=logs, read_at=NOW)
    said = list(check(fact, ControlPlaneLogLimits()))
    assert not any(isinstance(x, Unseen) for x in said)
    return {f.code: f.severity for f in said if isinstance(f, Finding)}


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(log(ETCD), id="nothing"),
        pytest.param(log(ETCD, match("nospace", 500, ago=3601)), id="more than an hour ago"),
        pytest.param(log(ETCD, match("slow-apply", 19)), id="a few slow requests"),
        pytest.param(log(ETCD, match("leader-lost")), id="one change of leader"),
        pytest.param(log(ETCD, match("no-leader", 5)), id="a member that just starts"),
        pytest.param(log(API_SERVER, match("etcd-leader", 5)), id="errors of one leader change"),
    ],
)
def test_quiet(told: PodLog) -> None:
    assert codes(told) == {}


@pytest.mark.parametrize(
    ("told", "code", "severity"),
    [
        (log(ETCD, match("nospace")), "nospace-alarm", Severity.CRITICAL),
        (log(ETCD, match("nospace", ago=601)), "nospace-alarm", Severity.WARNING),
        (log(API_SERVER, match("nospace")), "database-space-exceeded", Severity.CRITICAL),
        (log(ETCD, match("corrupt")), "corrupt", Severity.CRITICAL),
        (log(ETCD, match("leader-lost", 2)), "leader-lost", Severity.WARNING),
        (log(ETCD, match("no-leader", 6)), "no-leader", Severity.WARNING),
        (log(ETCD, match("slow-disk")), "slow-disk", Severity.WARNING),
        (log(ETCD, match("late-heartbeat")), "late-heartbeat", Severity.WARNING),
        (log(ETCD, match("slow-apply", 20)), "slow-requests", Severity.WARNING),
        (log(ETCD, match("clock-drift")), "clock-drift", Severity.WARNING),
        (log(API_SERVER, match("etcd-timeout")), "etcd-timeout", Severity.WARNING),
        (log(API_SERVER, match("etcd-leader", 20)), "etcd-without-leader", Severity.WARNING),
        (log(API_SERVER, match("etcd-overloaded")), "etcd-overloaded", Severity.WARNING),
        (log(API_SERVER, match("too-large")), "object-too-large", Severity.WARNING),
    ],
)
def test_found(told: PodLog, code: str, severity: Severity) -> None:
    assert codes(told) == {code: severity}


@pytest.mark.parametrize(
    ("logs", "subject"),
    [
        pytest.param((), "the logs of the control plane", id="no log at all"),
        pytest.param(
            (log(ETCD), PodLog(pod="kube-system/b", component=ETCD, lines=0)),
            "the logs of kube-system/b",
            id="one of nothing",
        ),
    ],
)
def test_a_log_without_a_line_tells_nothing(logs: tuple[PodLog, ...], subject: str) -> None:
    (said,) = check(ControlPlaneLogs(logs=logs, read_at=NOW), ControlPlaneLogLimits())

    assert said == Unseen(subject=subject, reason="no line of the last day is in them")


def test_pods_of_one_component_are_one_finding() -> None:
    first = log(ETCD, match("slow-disk", 3, ago=120, since=600), pod="kube-system/etcd-a")
    second = log(ETCD, match("slow-disk", 2, ago=60), pod="kube-system/etcd-b")
    fact = ControlPlaneLogs(logs=(first, second), read_at=NOW)
    (finding,) = check(fact, ControlPlaneLogLimits())

    assert isinstance(finding, Finding)
    assert finding.subject == "etcd"
    assert finding.observed == 5
    assert finding.message == (
        "the disk took more than a second for an fsync, and every write waited: 5 lines since "
        "11:48:00, the last at 11:59:00 UTC in kube-system/etcd-b and 1 more"
    )


def test_every_text_has_a_meaning() -> None:
    known = {(component, name) for component, texts in TEXTS.items() for name in texts}

    assert {(m.component, m.text) for m in MEANINGS} == known
