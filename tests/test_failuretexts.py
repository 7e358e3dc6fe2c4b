"""The table of failure texts against logs of real programs, and against what looks alike."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8sdiag.failuretexts import API_SERVER, ETCD, dated, matches

LOGS = Path(__file__).parent / "testdata" / "logs"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at_once(log: str) -> Iterator[tuple[datetime, str]]:
    return ((WHEN, line) for line in log.splitlines())


def told(component: str, log: str) -> dict[str, int]:
    return {m.name: m.lines for m in matches(component, at_once(log))}


@pytest.mark.parametrize(
    ("component", "line"),
    [
        pytest.param(
            ETCD,
            '{"level":"warn","msg":"request stats","request content":'
            '"key:\\"/registry/configmaps/\\"msg\\":\\"slow fdatasync\\"\\" value_size:100 "}',
            id="a key with the text in it",
        ),
        pytest.param(
            ETCD,
            '{"level":"info","msg":"raft.node: 1d0e elected leader 1d0e at term 2"}',
            id="a leader that is elected",
        ),
        pytest.param(
            ETCD,
            '{"level":"info","msg":"enabled backend quota","quota-size-bytes":16777216}',
            id="the quota at the start",
        ),
        pytest.param(ETCD, "2026-11-21 22:09:00.0 I | embed: heartbeat = 100ms", id="a setting"),
        pytest.param(
            ETCD,
            "2026-11-21 22:09:00.0 I | etcdserver: x wal: sync duration of nothing",
            id="another package that quotes it",
        ),
        pytest.param(
            API_SERVER,
            'I1121 22:06:57.5 trace.go:236] Trace: "Create" url:/api/v1/namespaces/a/configmaps/'
            "database-space-exceeded",
            id="an object of that name",
        ),
        pytest.param(
            API_SERVER,
            'W1121 22:06:57.5 dispatcher.go:1] webhook says: "mvcc: database space exceeded"',
            id="a webhook's own etcd",
        ),
        pytest.param(
            API_SERVER,
            "W1121 22:06:55.4 logging.go:55] [core] grpc: addrConn.createTransport failed to "
            'connect to {Addr: "127.0.0.1:53913"}. Err: connection error: desc = "transport: Error '
            'while dialing: dial tcp 127.0.0.1:53913: operation was canceled"',
            id="a connection given up at the start",
        ),
    ],
)
def test_what_looks_alike_says_nothing(component: str, line: str) -> None:
    assert told(component, line) == {}


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_logs_of_real_members(version: str) -> None:
    """Of three members that were frozen in turns, filled up, and then left alone with one."""
    names = told(ETCD, (LOGS / f"etcd-{version}.log").read_text())

    assert set(names) == {"leader-lost", "no-leader", "nospace", "slow-disk", "late-heartbeat"}


def test_the_log_of_a_real_api_server_on_a_full_etcd() -> None:
    assert told(API_SERVER, (LOGS / "kube-apiserver-1.36.log").read_text()) == {"nospace": 4}


@pytest.mark.parametrize(
    ("component", "line", "name"),
    [
        (ETCD, '{"level":"warn","msg":"apply request took too long","took":"1s"}', "slow-apply"),
        (
            ETCD,
            (
                '2026-11-21 22:09:00.0 W | etcdserver: read-only range request "key:\\"/a\\" " '
                'with result "range_response_count:0" took too long (101ms) to execute'
            ),
            "slow-apply",
        ),
        (ETCD, '{"level":"warn","msg":"prober found high clock drift"}', "clock-drift"),
        (
            ETCD,
            "2026-11-21 22:09:00.0 W | rafthttp: the clock difference against peer a is too high",
            "clock-drift",
        ),
        (ETCD, '{"level":"warn","msg":"alarm raised","alarm":"CORRUPT","from":"a"}', "corrupt"),
        (API_SERVER, 'E1121 status.go:71] err="etcdserver: request timed out"', "etcd-timeout"),
        (API_SERVER, 'E1121 status.go:71] err="etcdserver: leader changed"', "etcd-leader"),
        (API_SERVER, 'E1121 status.go:71] err="etcdserver: too many requests"', "etcd-overloaded"),
        (API_SERVER, 'E1121 status.go:71] err="etcdserver: request is too large"', "too-large"),
    ],
)
def test_texts_that_the_lab_did_not_make(component: str, line: str, name: str) -> None:
    assert told(component, line) == {name: 1}


def test_times_are_of_the_first_and_the_last_line() -> None:
    log = (
        '2026-03-01T12:00:01.123456789Z {"msg":"slow fdatasync"}\n'
        '2026-03-01T13:30:00+01:00 {"msg":"slow fdatasync"}\n'
        '{"msg":"slow fdatasync"} without a time\n'
        "\n"
    )
    (match,) = matches(ETCD, dated(log))

    assert match.lines == 2
    assert match.first == datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    assert match.last == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
