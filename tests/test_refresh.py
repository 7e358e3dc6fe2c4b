"""The cluster exporter's report: taken in the background, kept while looking fails."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8sdiag import plugins, run
from k8sdiag.doors import Target
from k8sdiag.facts.image_policies import ImagePolicies
from k8sdiag.judge import judge
from k8sdiag.model import ConfigError, Cost, Outcome, Report, Snapshot, Status, Unavailable
from k8sdiag.plugins import Source
from k8sdiag.refresh import Refresh, look_at_cluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def report(status: Status = Status.OK) -> Report:
    outcome = Outcome(check="a", title="a", status=status)
    cost = Cost(api_requests=7, api_bytes=900)
    return Report(cluster="c", taken_at=NOW, version="1", outcomes=(outcome,), cost=cost)


def series(refresh: Refresh) -> dict[tuple[str, str], float]:
    samples = (s for family in refresh.scrape(9.5) for s in family.samples)
    return {(s.name, ",".join(s.labels.values())): s.value for s in samples}


@pytest.fixture
def told() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def after(look: Callable[[], Report], looks: int, told: threading.Event) -> Refresh:
    """A refresher that has looked so many times and then was told to end."""
    count = 0

    def counted() -> Report:
        nonlocal count
        count += 1
        if count == looks:
            told.set()
        return look()

    refresh = Refresh(counted, 0.001, told)
    thread = threading.Thread(target=refresh.run)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return refresh


def test_before_the_first_look_nothing_is_said_and_it_is_not_ready(told: threading.Event) -> None:
    refresh = Refresh(report, 300, told)

    assert not refresh.ready()
    assert series(refresh) == {
        ("k8sdiag_snapshot_refresh_success", ""): 0,
        ("k8sdiag_snapshot_refresh_duration_seconds", ""): 0,
    }


def test_a_look_is_served_with_its_time_and_its_cost(told: threading.Event) -> None:
    refresh = after(report, 1, told)

    found = series(refresh)
    assert refresh.ready()
    assert found["k8sdiag_snapshot_timestamp_seconds", ""] == NOW.timestamp()
    assert found["k8sdiag_snapshot_refresh_success", ""] == 1
    assert found["k8sdiag_snapshot_api_requests", ""] == 7
    assert found["k8sdiag_snapshot_api_bytes", ""] == 900
    assert found["k8sdiag_check_status", "a,ok"] == 1
    assert found["k8sdiag_check_status", "a,skipped"] == 0


def test_unknown_is_a_state_and_no_success(told: threading.Event) -> None:
    found = series(after(lambda: report(Status.SKIPPED), 1, told))

    assert found["k8sdiag_check_success", "a"] == 0
    assert found["k8sdiag_check_status", "a,skipped"] == 1
    assert found["k8sdiag_check_status", "a,ok"] == 0


@pytest.mark.parametrize("error", [Unavailable("away"), ConfigError("gone"), ValueError("a bug")])
def test_a_look_that_fails_keeps_the_last_report_and_says_so(
    error: Exception, told: threading.Event
) -> None:
    looks = iter([report()])

    def look() -> Report:
        try:
            return next(looks)
        except StopIteration:
            raise error from None

    refresh = after(look, 3, told)

    found = series(refresh)
    assert refresh.ready()
    assert refresh.fault is None
    assert found["k8sdiag_snapshot_refresh_success", ""] == 0
    assert found["k8sdiag_snapshot_timestamp_seconds", ""] == NOW.timestamp()
    assert found["k8sdiag_check_status", "a,ok"] == 1


def test_a_cluster_that_is_away_at_first_is_tried_again(told: threading.Event) -> None:
    looks: Iterator[Exception | Report] = iter([Unavailable("away"), Unavailable("away"), report()])

    def look() -> Report:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    refresh = after(look, 3, told)

    assert refresh.ready()
    assert series(refresh)["k8sdiag_snapshot_refresh_success", ""] == 1


def test_options_that_cannot_be_right_end_it_at_once(told: threading.Event) -> None:
    def look() -> Report:
        raise ConfigError("context x: there is none")

    refresh = Refresh(look, 300, told)
    refresh.run()

    assert str(refresh.fault) == "context x: there is none"
    assert told.is_set()


def test_told_to_end_it_does_not_wait_for_the_next_look(told: threading.Event) -> None:
    refresh = Refresh(report, 300, told)
    thread = threading.Thread(target=refresh.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not refresh.ready() and time.monotonic() < deadline:
        time.sleep(0.01)

    told.set()
    thread.join(5)

    assert not thread.is_alive()


def test_where_nothing_can_be_seen_a_look_fails(tmp_path: Path) -> None:
    """And not: all checks are skipped, which would take the last report away."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        '{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": '
        '"u"}}], "users": [{"name": "u", "user": {}}], "clusters": [{"name": "c", "cluster": '
        '{"server": "http://127.0.0.1:1"}}]}'
    )
    checks = run.of_the_cluster(plugins.checks(), prometheus=False)

    look = look_at_cluster(checks.values(), Target(kubeconfig=kubeconfig))

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as error:
        look()
    assert str(error.value).count("127.0.0.1:1") == 1  # however many facts it keeps from us


def test_the_limits_of_nodes_are_judged_where_prometheus_tells_of_them() -> None:
    asked = run.of_the_cluster(plugins.checks(), prometheus=True).keys()
    alone = run.of_the_cluster(plugins.checks(), prometheus=False).keys()

    assert asked - alone == {
        "conntrack",
        "ephemeral-ports",
        "file-handles",
        "inotify",
        "listen-overflow",
        "neighbor-table",
        "softnet-drops",
        "threads",
    }


def test_what_is_too_dear_to_be_read_again_and_again_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    none = ImagePolicies(policies=())

    def collected(sources: Iterable[Source], doors: object, *, cluster: str) -> Snapshot:
        asked.extend(source.name for source in sources)
        return Snapshot(cluster=cluster, taken_at=NOW, facts={"ImagePolicies": none})

    @contextmanager
    def opened(*_: object) -> Iterator[tuple[dict[type, object], str]]:
        yield {}, "c"

    monkeypatch.setattr("k8sdiag.refresh.collect", collected)
    monkeypatch.setattr("k8sdiag.refresh.opened", opened)
    check = plugins.checks()["image-provenance"]

    (outcome,) = look_at_cluster([check], Target())().outcomes

    assert "too dear" not in outcome.reason
    assert "vulnerabilities" not in asked
    assert "image_policies" in asked


def test_no_pod_is_in_a_label_of_the_demo(told: threading.Event) -> None:
    snapshot = run.load_demo()
    judged = judge(run.of_the_cluster(plugins.checks(), prometheus=False).values(), snapshot)

    refresh = after(lambda: judged, 1, told)

    labels = {
        (name, value)
        for family in refresh.scrape(9.5)
        for sample in family.samples
        for name, value in sample.labels.items()
    }
    assert len(labels) > 20
    assert not [pair for pair in labels if pair[0].startswith("pod") or "pod/" in pair[1]]
