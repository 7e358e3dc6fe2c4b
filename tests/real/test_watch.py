"""k8sdiag watch on real API servers in trouble: the cause comes first."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.real import apiserver
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.etcd_writes import fill_up
from tests.real.fairness import refusing_lists
from tests.real.prometheus import Prometheus
from tests.real.test_audit import etcd

NODES = 8


def watch(server: ApiServer, *args: str | Path, count: int = 1) -> tuple[int, list[str], float]:
    """The exit code, the lines and the seconds that it took."""
    command = ["watch", "--kubeconfig", server.kubeconfig("admin", [ADMINS])]
    command += ["--count", str(count), "--interval", "5s", *args]
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "k8sdiag", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), time.monotonic() - begin


def subjects(lines: list[str]) -> list[str]:
    """Of the table at the end, from the top: "CRITICAL etcd", ..."""
    table = lines[next(i for i, text in enumerate(lines) if text.startswith("LEVEL")) + 1 :]
    rows = [text.split() for text in table[: table.index("")]]
    return [f"{level} {subject}" for level, subject, *_ in rows]


def node(name: str, ready: bool) -> dict[str, object]:
    condition = {"type": "Ready", "status": "True" if ready else "Unknown"}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


@contextmanager
def with_nodes(server: ApiServer, unready: int) -> Iterator[None]:
    names = [f"watched-{number}" for number in range(NODES)]
    try:
        for number, name in enumerate(names):
            server.admin.create("/api/v1/nodes", {"metadata": {"name": name}})
            found = server.admin.get(f"/api/v1/nodes/{name}")
            found["status"] = node(name, ready=number >= unready)["status"]
            server.admin.put_status(f"/api/v1/nodes/{name}", found)
        yield
    finally:
        for name in names:
            server.admin.raw("DELETE", f"/api/v1/nodes/{name}")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """With a small etcd that a test can fill: the last test that uses it does."""
    with required(), apiserver.started(tmp_path_factory.mktemp("watch"), quota_bytes=16 << 20) as s:
        yield s


def test_a_healthy_cluster_is_quiet(own_server: ApiServer) -> None:
    with with_nodes(own_server, unready=0):
        code, lines, _ = watch(own_server, *etcd(own_server), count=5)

    assert code == 0, lines
    assert {line.split()[0] for line in subjects(lines)} == {"OK"}


def test_half_of_the_nodes_are_unreachable(own_server: ApiServer) -> None:
    with with_nodes(own_server, unready=NODES // 2):
        code, lines, _ = watch(own_server, *etcd(own_server))

    assert code == 1
    assert "CRITICAL nodes: 4 of 8 not ready: watched-0" in lines[0]
    assert subjects(lines)[0] == "CRITICAL nodes"


def test_who_may_do_nothing_is_told_what_to_grant(own_server: ApiServer) -> None:
    nobody = own_server.kubeconfig("nobody")
    code, lines, _ = watch(own_server, "--kubeconfig", nobody)

    assert code == 3
    assert 'nodes: grant "list" on "nodes"' in "\n".join(lines)
    assert 'grant "get" on "/metrics"' in "\n".join(lines)


def test_ctrl_c_ends_it_with_markdown_to_paste(own_server: ApiServer) -> None:
    command = [sys.executable, "-m", "k8sdiag", "watch", "--interval", "1s", "-o", "markdown"]
    command += ["--kubeconfig", str(own_server.kubeconfig("admin", [ADMINS]))]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert running.stderr is not None
        assert running.stderr.readline()  # the first verdict
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()

    assert running.returncode in (0, 3), err
    assert out.startswith("# k8sdiag watch: test\n")
    assert "## Timeline (UTC)" in out
    assert "| LEVEL" in out


def test_pulls_that_fail_are_counted_by_their_pods(own_server: ApiServer) -> None:
    events = "/api/v1/namespaces/default/events"
    now = datetime.now(UTC)
    said = 'Failed to pull image "nowhere.example/x:1": not found'
    for name, ago, message in (
        ("a", 10, said),
        ("b", 60, "Error: ImagePullBackOff"),
        ("old", 1200, said),
        ("crash", 5, "Back-off restarting failed container"),
    ):
        at = f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "metadata": {"name": f"{name}.1", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": name, "namespace": "default"},
            "type": "Warning",
            "reason": "Failed",
            "message": message,
            "firstTimestamp": at,
            "lastTimestamp": at,
        }
        own_server.admin.create(events, event)
    try:
        code, lines, _ = watch(own_server)
    finally:
        own_server.admin.delete(events)

    assert code == 0  # two pods are a warning
    assert (
        f"WARNING  image-pull: pulls fail: 2 pods by events of the last 5 minutes: {said}"
        in (lines[0])
    )


def test_an_api_server_that_refuses_lists_is_named_first(api_server: ApiServer) -> None:
    with with_nodes(api_server, unready=NODES // 2), refusing_lists(api_server) as kubeconfig:
        code, lines, _ = watch(api_server, "--kubeconfig", kubeconfig, count=4)

    assert code == 1
    assert "CRITICAL api-server: nodes: it answers 429, too busy" in lines[0]
    assert subjects(lines)[0] == "CRITICAL api-server"
    assert subjects(lines)[1:3] == ["UNKNOWN nodes", "UNKNOWN image-pull"]


def test_prometheus_tells_of_dns_neighbors_and_pulls(
    own_server: ApiServer, start_prometheus: Callable[..., Prometheus]
) -> None:
    """A Prometheus that has scraped these for some minutes: 10 % SERVFAIL, refusals on one node."""
    now = int(time.time())
    stamps = range(now - 290, now, 10)
    series = {
        'coredns_dns_responses_total{rcode="NOERROR"}': 90,
        'coredns_dns_responses_total{rcode="SERVFAIL"}': 10,
        'coredns_dns_request_duration_seconds_bucket{le="1"}': 50,
        'coredns_dns_request_duration_seconds_bucket{le="2"}': 100,
        'coredns_dns_request_duration_seconds_bucket{le="+Inf"}': 100,
        'k8sdiag_neighbor_table_fulls_total{node="n1"}': 3,
        'k8sdiag_neighbor_table_fulls_total{node="n2"}': 0,
    }
    rows = [f"{s} {i * per} {at}" for s, per in series.items() for i, at in enumerate(stamps)]
    waiting = 'kube_pod_container_status_waiting_reason{reason="ErrImagePull"}'
    rows += [f"{waiting} 30 {at}" for at in stamps]
    prometheus = start_prometheus(history="\n".join([*rows, "# EOF", ""]))

    code, lines, _ = watch(own_server, "--prometheus", prometheus.url)
    told = dict(zip(subjects(lines), lines, strict=False))

    assert code == 1
    assert list(told)[:3] == ["CRITICAL neighbor-table", "CRITICAL dns", "CRITICAL image-pull"]
    assert "refusals in 3 minutes: packets to new peers vanish; on n1" in lines[0]
    assert "10.0% of answers are SERVFAIL, 99 of 100 take up to 2 s" in lines[1]
    assert "30 containers wait for an image" in lines[2]


def test_a_prometheus_without_them_is_no_good_news(
    own_server: ApiServer, start_prometheus: Callable[..., Prometheus]
) -> None:
    code, lines, _ = watch(own_server, "--prometheus", start_prometheus().url)

    assert code == 3
    assert {"UNKNOWN neighbor-table", "UNKNOWN dns"} <= set(subjects(lines))


def test_a_full_etcd_is_named_first_by_itself_and_by_the_api_server(own_server: ApiServer) -> None:
    fill_up(own_server.etcd)
    with pytest.raises(apiserver.Refused, match="database space exceeded"):
        own_server.admin.create("/api/v1/namespaces", {"metadata": {"name": "no-room"}})

    code, lines, seconds = watch(own_server, *etcd(own_server))
    assert code == 1
    assert "CRITICAL etcd: alarm NOSPACE" in lines[0]
    assert seconds < 10  # the start of Python, the first look within 5 s, and the end

    code, lines, _ = watch(own_server, count=5)  # without access to etcd
    assert code == 1
    assert subjects(lines)[0] == "CRITICAL etcd"
    assert any("writes failed in" in text and "NOSPACE" in text for text in lines)


def test_an_api_server_whose_etcd_is_gone_is_told_by_its_cause(own_server: ApiServer) -> None:
    own_server.etcd.stop_member(0)
    code, lines, _ = watch(own_server, count=3)

    assert code == 1
    assert subjects(lines)[:2] == ["CRITICAL etcd", "CRITICAL api-server"]
    assert any("the API server does not reach it: [-]etcd failed" in line for line in lines)
