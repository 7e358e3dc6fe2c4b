"""What a real API server counts of its own: refusals, latencies, and endpoints of Services."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from k8sdiag.checks.api_server import ApiServer as Limits
from k8sdiag.checks.api_server import check
from k8sdiag.facts.cluster import Backends, ControlPlane
from k8sdiag.model import Finding, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import api_traffic, api_traffic_prometheus, endpoint_slices
from tests.real import apiserver
from tests.real.apiserver import ADMINS, Admin, ApiServer
from tests.real.conftest import required
from tests.real.fairness import LEVEL, USER, refusing_lists
from tests.real.prometheus import Prometheus as Running
from tests.real.record_demo import admins
from tests.real.test_audit import audited
from tests.real.test_etcd import frozen

WRITERS = 6
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


@pytest.fixture
def door(api_server: ApiServer) -> Iterator[Kubernetes]:
    door = Kubernetes.open(api_server.kubeconfig("admin", [ADMINS]), None)
    door.look_seconds = 0.5
    yield door
    door.close()


def test_requests_between_two_looks_are_counted(api_server: ApiServer, door: Kubernetes) -> None:
    door.metrics()
    for _ in range(20):
        api_server.admin.get("/api/v1/namespaces/default")
    fact = api_traffic.collect(door)

    (got,) = (c for c in fact.calls if (c.resource, c.verb) == ("namespaces", "GET"))
    assert got.scope == "resource"
    assert got.requests >= 20
    assert dict(got.within).keys() == {1.0, 30.0}
    assert sum(level.requests for level in fact.levels) >= 20
    assert (fact.gaps, fact.processing_only) == ({}, True)
    findings = check(fact, ControlPlane(api_servers=1), Limits())
    assert [f for f in findings if isinstance(f, Finding)] == []


def test_writes_that_wait_for_etcd_are_slow(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with required():  # one of our own: nobody else must wait with it
            server = stack.enter_context(apiserver.started(tmp_path))
        door = Kubernetes.open(server.kubeconfig("admin", [ADMINS]), None)
        stack.callback(door.close)
        door.look_seconds = 0.0
        door.metrics()
        with ThreadPoolExecutor(WRITERS) as pool, admins(server, WRITERS) as connections:
            with frozen(server.etcd.members[0].pid):
                jobs = [pool.submit(write, admin, i) for i, admin in enumerate(connections)]
                time.sleep(1.5)
            for job in jobs:
                job.result()
        fact = api_traffic.collect(door)
    findings = check(fact, ControlPlane(api_servers=1), Limits())

    (slow,) = (f for f in findings if isinstance(f, Finding) and f.subject == "api-server/writes")
    assert slow.code == "slow"
    assert f"POST configmaps {WRITERS} of " in slow.message


def write(admin: Admin, number: int) -> None:
    collection = "/api/v1/namespaces/default/configmaps"
    admin.create(collection, {"metadata": {"name": f"slow-{number}"}})


def test_an_audit_whose_lists_are_refused_goes_on_and_says_so(api_server: ApiServer) -> None:
    begin = time.monotonic()
    with refusing_lists(api_server) as kubeconfig:
        code, said = audited(
            *("--kubeconfig", kubeconfig, "--check", "api-server", "--check", "cluster-size"),
            *("--check", "dns-search", "--check", "image-pull"),
        )

    (finding,) = said["api-server"]["findings"]
    assert finding["code"] == "api-server/refusing"
    assert finding["subject"] == f"priority-level/{LEVEL}"
    assert f"(concurrency-limit), most of them of the flow schema {USER}" in finding["message"]
    assert code == 3  # a warning, and not all was judged
    assert said["cluster-size"]["status"] == "skipped"
    assert "/api/v1/nodes: the API server" in said["cluster-size"]["reason"]
    assert "is too busy (429)" in said["cluster-size"]["reason"]
    assert said["dns-search"]["status"] == "skipped"
    assert time.monotonic() - begin < 60


def test_endpoints_are_counted_by_their_service(api_server: ApiServer, door: Kubernetes) -> None:
    endpoints = [{"addresses": [f"10.9.{i // 250}.{i % 250 + 1}"]} for i in range(300)]
    services = {"kubernetes.io/service-name": "web"}
    headless = services | {"service.kubernetes.io/headless": ""}
    made = {
        "web-a": (services, endpoints[:100]),
        "web-b": (services, endpoints[100:103]),
        "web-none": (services, []),
        "db-a": (headless | {"kubernetes.io/service-name": "db"}, endpoints),
    }
    for name, (labels, held) in made.items():
        body = {"metadata": {"name": name, "labels": labels}, "addressType": "IPv4"}
        api_server.admin.create(SLICES, body | {"endpoints": held})
    try:
        fact = endpoint_slices.collect(door)
    finally:
        for name in made:
            api_server.admin.delete(f"{SLICES}/{name}")

    assert {b.subject: b for b in fact.largest if b.subject.startswith("service/default/")} == {
        "service/default/db": Backends(subject="service/default/db", endpoints=300, headless=True),
        "service/default/web": Backends(subject="service/default/web", endpoints=103),
    }


def scraped(api_server: ApiServer, name: str, minutes: int = 5) -> str:
    """The API server's real page, as if it had counted as much again each 15 seconds."""
    now = int(time.time())
    page = api_server.admin.raw("GET", "/metrics")[1].decode()
    wanted = ("apiserver_request_sli_duration", "apiserver_flowcontrol_", "apiserver_request_total")
    rows = []
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        if not line.startswith(wanted) or "_seat" in line or "{" not in line:
            continue
        labelled = series.replace("{", f'{{job="apiserver",instance="{name}",', 1)
        rows += [
            f"{labelled} {float(value) * (i + 1)} {now - minutes * 60 + i * 15}"
            for i in range(minutes * 4)
        ]
    return "\n".join(rows)


def test_prometheus_has_the_window_of_all_api_servers(
    api_server: ApiServer, start_prometheus: Callable[..., Running]
) -> None:
    with refusing_lists(api_server) as kubeconfig:
        audited("--kubeconfig", kubeconfig, "--check", "neighbor-limits")
        history = "\n".join(
            scraped(api_server, name) for name in ("10.0.0.1:6443", "10.0.0.2:6443")
        )
    extension = 'apiserver_flowcontrol_rejected_requests_total{job="metrics",priority_level="x"}'
    now = int(time.time())
    strangers = [f"{extension} {i * 1000} {now - 280 + i * 20}" for i in range(14)]
    server = start_prometheus(history="\n".join([history, *strangers, "# EOF", ""]))
    fact = api_traffic_prometheus.collect(Prometheus.open(server.url))

    assert (fact.servers, fact.window_seconds, fact.processing_only) == (2, 300, True)
    assert {1.0, 30.0} == {bound for c in fact.calls for bound, _ in c.within}
    refused = {level.name: level.refused for level in fact.levels if level.refused}
    assert refused.keys() == {LEVEL}  # not those of an extension API server
    assert refused[LEVEL].keys() == {USER}


def test_a_prometheus_without_api_servers_is_no_answer(
    start_prometheus: Callable[..., Running],
) -> None:
    with pytest.raises(Unavailable, match="scrapes no API server"):
        api_traffic_prometheus.collect(Prometheus.open(start_prometheus().url))


def test_two_clusters_in_one_prometheus_are_not_mixed(
    start_prometheus: Callable[..., Running],
) -> None:
    now = int(time.time())
    rows = [
        f'apiserver_request_total{{group="",resource="nodes",cluster="{c}"}} 1 {now}' for c in "ab"
    ]
    server = start_prometheus(history="\n".join([*rows, "# EOF", ""]))

    with pytest.raises(Unavailable, match=r"several clusters \(a, b\)"):
        api_traffic_prometheus.collect(Prometheus.open(server.url))
