"""What two looks at an API server's /metrics say; names and labels are those of 1.36."""

from pathlib import Path

import pytest

from k8sdiag.facts.api_traffic import ApiTraffic, Calls, Level
from k8sdiag.model import Unavailable
from k8sdiag.sources.api_traffic import collect
from tests.scripted_api import Answer, opened

SLI = "apiserver_request_sli_duration_seconds"


def requests(
    total: int,
    within_1: int,
    resource: str = "pods",
    *,
    verb: str = "PATCH",
    more: str = 'group="",scope="resource",subresource=""',
    name: str = SLI,
) -> str:
    labels = f'{more},resource="{resource}",verb="{verb}"'
    return (
        f'{name}_bucket{{{labels},le="0.05"}} 0\n{name}_bucket{{{labels},le="1"}} {within_1}\n'
        f'{name}_bucket{{{labels},le="30"}} {total}\n{name}_bucket{{{labels},le="+Inf"}} {total}\n'
        f"{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} {total}\n"
    )


def let_through(count: int, level: str = "workload-low") -> str:
    labels = f'flow_schema="service-accounts",priority_level="{level}"'
    return f"apiserver_flowcontrol_dispatched_requests_total{{{labels}}} {count}\n"


def rejected(count: int, schema: str = "service-accounts") -> str:
    labels = f'flow_schema="{schema}",priority_level="workload-low",reason="queue-full"'
    return f"apiserver_flowcontrol_rejected_requests_total{{{labels}}} {count}\n"


def looked(folder: Path, first: str, second: str, started: float = 1.5e9) -> ApiTraffic:
    pages = (
        Answer(f"\nprocess_start_time_seconds {at}\n{page}".encode())
        for at, page in ((1.5e9, first), (started, second))
    )
    with opened(folder, *pages) as door:
        door.look_seconds = 0.05
        return collect(door)


def test_only_what_happened_between_the_looks_counts(tmp_path: Path) -> None:
    fact = looked(
        tmp_path,
        requests(1000, 10) + requests(9, 9, "nodes") + let_through(500) + rejected(400),
        requests(1100, 60) + requests(9, 9, "nodes") + let_through(600) + rejected(403),
    )

    slow = Calls(
        resource="pods",
        verb="PATCH",
        scope="resource",
        requests=100,
        within=((1.0, 50.0), (30.0, 100.0)),
    )
    level = Level(
        name="workload-low",
        requests=100,
        refused={"service-accounts": 3},
        reasons={"queue-full": 3},
    )
    assert (fact.calls, fact.levels) == ((slow,), (level,))
    assert (fact.servers, fact.processing_only, fact.gaps) == (1, True, {})


def test_what_was_not_there_before_has_happened_since(tmp_path: Path) -> None:
    fact = looked(
        tmp_path, let_through(1), let_through(1) + rejected(7) + rejected(2, "x") + requests(3, 0)
    )

    assert fact.levels[0].refused == {"service-accounts": 7, "x": 2}
    assert fact.levels[0].reasons == {"queue-full": 9}
    assert fact.calls[0].within == ((1.0, 0.0), (30.0, 3.0))


def test_streams_and_what_is_no_object_are_left_out(tmp_path: Path) -> None:
    status = 'group="apps",scope="resource",subresource="status"'
    fact = looked(
        tmp_path,
        let_through(1),
        let_through(2)
        + requests(5, 0, verb="WATCH")
        + requests(5, 0, verb="GET", more='group="",scope="resource",subresource="log"')
        + requests(5, 0, "", verb="GET", more='group="",scope="",subresource="/readyz"')
        + requests(5, 5, "deployments", verb="PUT", more=status),
    )

    assert [(c.resource, c.group) for c in fact.calls] == [("deployments.apps/status", "apps")]


def test_older_servers_count_webhooks_too(tmp_path: Path) -> None:
    old = "apiserver_request_duration_seconds"
    fact = looked(tmp_path, let_through(1), let_through(2) + requests(5, 4, name=old))

    assert fact.calls[0].requests == 5
    assert not fact.processing_only


def test_another_api_server_or_a_new_one_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="different API servers, or it was started anew"):
        looked(tmp_path, let_through(900), let_through(3), started=1.6e9)


def test_what_the_page_does_not_count_is_said(tmp_path: Path) -> None:
    fact = looked(tmp_path, "", "")

    assert fact.gaps.keys() == {"how long requests take", "refused requests"}


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("", "has no process_start_time"),
        ("apiserver_flowcontrol_rejected_requests_total{ 1", "is no Prometheus page"),
    ],
)
def test_another_page_is_no_answer(tmp_path: Path, page: str, why: str) -> None:
    with (
        opened(tmp_path, Answer(page.encode() or b"x 1\n")) as door,
        pytest.raises(Unavailable, match=why),
    ):
        collect(door)


def test_the_page_that_others_have_read_is_the_first_look(tmp_path: Path) -> None:
    pages = (Answer(f"\nprocess_start_time_seconds 5\n{let_through(n)}".encode()) for n in (10, 14))
    with opened(tmp_path, *pages) as door:
        door.look_seconds = 0.05
        door.metrics()
        fact = collect(door)
        assert door.cost.api_requests == 3  # the version, and two pages

    assert fact.levels == (Level(name="workload-low", requests=4),)
