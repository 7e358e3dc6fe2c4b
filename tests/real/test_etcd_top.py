"""`k8sdiag etcd top` on a real API server: by its metrics, and by counting in its etcd."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.commands import etcdscan
from k8sdiag.model import Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import etcd_members
from tests.real import apiserver
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.test_etcd import proposals

# By bytes the config maps lead, by objects the events do.
FILLED = {"configmaps": (30, 20_000), "events": (200, 500), "secrets": (10, 9_000)}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of its own, which counts every second instead of every minute."""
    often = ["--etcd-count-metric-poll-period=1s"]
    with required(), apiserver.started(tmp_path_factory.mktemp("top"), extra_args=often) as server:
        _fill(server)
        yield server


def _fill(server: ApiServer) -> None:
    core = "/api/v1/namespaces"
    server.admin.create(core, {"metadata": {"name": "full"}})
    for number in range(FILLED["configmaps"][0]):
        data = {"a": "x" * FILLED["configmaps"][1]}
        server.admin.create(
            f"{core}/full/configmaps", {"metadata": {"name": f"c{number}"}, "data": data}
        )
    for number in range(FILLED["secrets"][0]):
        secret = {"a": "y" * FILLED["secrets"][1]}
        server.admin.create(
            f"{core}/full/secrets", {"metadata": {"name": f"s{number}"}, "stringData": secret}
        )
    for number in range(FILLED["events"][0]):
        event = {
            "metadata": {"name": f"e{number}"},
            "involvedObject": {"kind": "Pod", "namespace": "full", "name": "p"},
            "message": "z" * FILLED["events"][1],
        }
        server.admin.create(f"{core}/full/events", event)


def top(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "k8sdiag", "etcd", "top", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def ranked(*args: str | Path) -> dict[str, Any]:
    done = top(*args, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def until_counted(kubeconfig: Path) -> dict[str, Any]:
    """The API server counts now and then: wait for it, not for the right order."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done = top("--kubeconfig", kubeconfig, "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        counted = {r["resource"]: r["objects"] for r in found.get("resources", ())}
        sized = {r["resource"]: r["bytes"] for r in found.get("resources", ())}
        if all(counted.get(n, 0) >= count and sized[n] for n, (count, _) in FILLED.items()):
            return found
        time.sleep(0.5)
    raise AssertionError(f"not counted in time: {done.stdout}{done.stderr}")


def test_the_metrics_rank_what_was_filled_in_the_right_order(api: ApiServer) -> None:
    found = until_counted(api.kubeconfig("top", [ADMINS]))
    rows = found["resources"]

    assert [r["resource"] for r in rows[:3]] == ["configmaps", "events", "secrets"]
    assert rows[0]["bytes"] > 30 * 20_000
    assert rows[0]["share"] > 0.5
    assert rows[0]["meanBytes"] == pytest.approx(20_000, rel=0.2)
    assert 200 <= rows[1]["objects"] <= 210  # the API server may have had one of its own to tell
    assert rows[1]["sampled"] == 100
    assert 200 * 500 < rows[1]["bytes"] < 3 * 200 * 500
    assert found["databases"][0]["bytes"] > rows[0]["bytes"]
    assert sum(r["share"] for r in rows if r["share"]) == pytest.approx(1, abs=0.01)


def test_a_table_for_people(api: ApiServer) -> None:
    kubeconfig = api.kubeconfig("table", [ADMINS])
    until_counted(kubeconfig)

    done = top("--kubeconfig", kubeconfig, "--limit", "3")

    assert done.returncode == 0, done.stderr
    first = next(line for line in done.stdout.splitlines() if line.startswith("configmaps"))
    assert "%" in first
    assert "smaller resources are left out" in done.stdout


def test_without_the_right_it_says_which_one(api: ApiServer) -> None:
    done = top("--kubeconfig", api.kubeconfig("nobody"))

    assert done.returncode == 3
    assert 'may not get "/metrics"' in done.stderr
    assert "Traceback" not in done.stderr


def etcd_options(api: ApiServer) -> list[str | Path]:
    etcd = api.etcd
    assert etcd.ca
    assert etcd.cert
    assert etcd.key
    urls = ",".join(etcd.endpoints)
    return [
        *("--etcd-endpoints", urls, "--etcd-cacert", etcd.ca),
        *("--etcd-cert", etcd.cert, "--etcd-key", etcd.key),
    ]


def test_where_metrics_are_refused_a_scan_counts_the_same(api: ApiServer) -> None:
    before = until_counted(api.kubeconfig("before", [ADMINS]))
    nobody = api.kubeconfig("nobody")

    found = ranked("--kubeconfig", nobody, "--scan", *etcd_options(api))
    counted = {r["resource"]: r["objects"] for r in found["resources"]}
    told = {r["resource"]: r["objects"] for r in before["resources"]}

    # The API server itself writes leases now and then, and ranges are no resource.
    assert {n: counted.get(n) for n in told} == told
    assert next(iter(counted)) == "events"
    assert all(r["bytes"] is None for r in found["resources"])
    assert found["source"].startswith("counts by etcd/etcd-0")


def test_custom_resources_are_found_below_their_group(api: ApiServer) -> None:
    for group in ("acme.example.com", "snapshot.storage.k8s.io"):
        _define(api, group)
        for number in range(3):
            body = {
                "apiVersion": f"{group}/v1",
                "kind": "Thing",
                "metadata": {"name": f"t{number}"},
            }
            _create_when_served(api, f"/apis/{group}/v1/namespaces/full/things", body)
    found = ranked("--kubeconfig", api.kubeconfig("nobody"), "--scan", *etcd_options(api))
    counted = {r["resource"]: r["objects"] for r in found["resources"]}

    assert counted["things.acme.example.com"] == 3
    assert counted["things.snapshot.storage.k8s.io"] == 3
    assert counted["customresourcedefinitions.apiextensions.k8s.io"] == 2


def _define(api: ApiServer, group: str) -> None:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    definition = {
        "metadata": {
            "name": f"things.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": group,
            "names": {"kind": "Thing", "plural": "things"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    api.admin.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)


def _create_when_served(api: ApiServer, path: str, body: object) -> None:
    deadline = time.monotonic() + 30
    while (status := api.admin.raw("POST", path, body)[0]) == 404:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == 201


def test_a_scan_writes_nothing(api: ApiServer) -> None:
    kubeconfig = api.kubeconfig("nobody")
    etcd = api.etcd
    reader = Etcd.open(",".join(etcd.endpoints), cacert=etcd.ca, cert=etcd.cert, key=etcd.key)
    with closing(Kubernetes.open(kubeconfig)) as kubernetes:
        names, unseen = etcdscan.discover(kubernetes)
        member = etcdscan.follower(etcd_members.collect(reader).members)
        with reader.ask(member.endpoint) as client:
            for _ in range(5):  # the API server itself writes every few seconds
                before = proposals(etcd)
                _, stopped = etcdscan.paced(client.count, names, sleep=lambda _: None)
                if (after := proposals(etcd)) == before:
                    break

    assert (unseen, stopped) == ({}, "")
    assert after == before


def test_another_etcd_is_not_taken_for_this_one(api: ApiServer, start_etcd: Any) -> None:
    other = start_etcd(tls=False)
    with (
        closing(Kubernetes.open(api.kubeconfig("nobody"))) as kubernetes,
        pytest.raises(Unavailable, match="has no namespaces below /registry"),
    ):
        etcdscan.scan(kubernetes, Etcd.open(",".join(other.endpoints)))


def test_a_snapshot_of_the_cluster_is_ranked_alike(api: ApiServer, tmp_path: Path) -> None:
    kubeconfig = api.kubeconfig("snapshot", [ADMINS])
    live = until_counted(kubeconfig)
    file = tmp_path / "s.json.gz"
    command = [sys.executable, "-m", "k8sdiag", "snapshot", file, "--kubeconfig", kubeconfig]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=200)

    assert [r["resource"] for r in ranked(file)["resources"][:3]] == [
        r["resource"] for r in live["resources"][:3]
    ]
