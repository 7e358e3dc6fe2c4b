"""The cluster exporter on a real API server: looks, forgets nothing, names no pod."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import Process, answers, free_ports, running

POD = "very-recognizable-pod"
_open = build_opener(ProxyHandler({})).open


@contextmanager
def exporting(folder: Path, kubeconfig: Path, *options: str) -> Iterator[tuple[int, Process]]:
    (port,) = free_ports(1)
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [sys.executable, "-m", "k8sdiag", "serve", "cluster", listen]
    command += ["--kubeconfig", str(kubeconfig), *options]
    with running("exporter", command, folder) as process:
        process.await_ready(answers(f"http://127.0.0.1:{port}/-/ready"))
        yield port, process


def page(port: int) -> str:
    with _open(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


def value(page: str, series: str) -> float:
    (found,) = re.findall(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(found)


def await_value(port: int, series: str, wanted: float) -> str:
    deadline = time.monotonic() + 30
    while value(found := page(port), series) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@contextmanager
def pod(api_server: ApiServer) -> Iterator[None]:
    api = api_server.admin
    container = {"name": "c", "image": "registry.example.com/app:1"}
    manifest = {"metadata": {"name": POD}, "spec": {"containers": [container]}}
    api.create("/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", **manifest})
    try:
        yield
    finally:
        api.delete(f"/api/v1/namespaces/default/pods/{POD}?gracePeriodSeconds=0")


def test_a_cluster_is_looked_at_and_promtool_has_nothing_to_say(
    tmp_path: Path, api_server: ApiServer, promtool: Path
) -> None:
    kubeconfig = api_server.kubeconfig("admin", [ADMINS])
    with pod(api_server), exporting(tmp_path, kubeconfig) as (port, _):
        found = page(port)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=found, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert value(found, "k8sdiag_snapshot_refresh_success") == 1
    assert value(found, "k8sdiag_snapshot_api_requests") >= 3
    assert value(found, "k8sdiag_snapshot_api_bytes") > 500
    assert time.time() - value(found, "k8sdiag_snapshot_timestamp_seconds") < 60
    assert value(found, 'k8sdiag_check_success{check="etcd-quota"}') in (0, 1)
    assert POD not in found


def test_who_may_nothing_is_told_unknown_and_not_zero(
    tmp_path: Path, api_server: ApiServer
) -> None:
    """All that such a user sees are the server's version and refusals."""
    with exporting_unready(tmp_path, api_server.kubeconfig("nobody")) as (port, process):
        deadline = time.monotonic() + 30
        while "looking at the cluster failed" not in process.tail():
            assert time.monotonic() < deadline, process.tail()
            time.sleep(0.1)
        found = page(port)

    assert value(found, "k8sdiag_snapshot_refresh_success") == 0
    assert "k8sdiag_check_findings" not in found
    assert 'grant "list" on' in process.tail()


@contextmanager
def exporting_unready(folder: Path, kubeconfig: Path) -> Iterator[tuple[int, Process]]:
    (port,) = free_ports(1)
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [sys.executable, "-m", "k8sdiag", "serve", "cluster", listen]
    command += ["--kubeconfig", str(kubeconfig), "--check", "dns-search"]
    with running("exporter", command, folder) as process:
        process.await_ready(answers(f"http://127.0.0.1:{port}/-/healthy"))
        with pytest.raises(HTTPError, match="503"):
            _open(f"http://127.0.0.1:{port}/-/ready", timeout=10)
        yield port, process


def test_while_the_cluster_is_away_the_last_report_stands(
    tmp_path: Path, api_server: ApiServer
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    good = api_server.kubeconfig("admin", [ADMINS]).read_text()
    away = json.loads(good)
    (closed,) = free_ports(1)
    away["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{closed}"
    kubeconfig.write_text(good)
    success = "k8sdiag_snapshot_refresh_success"

    with exporting(tmp_path, kubeconfig, "--interval", "1s") as (port, process):
        await_value(port, success, 1)
        kubeconfig.write_text(json.dumps(away))
        before = await_value(port, success, 0)
        time.sleep(1.5)
        after = page(port)
        taken = "k8sdiag_snapshot_timestamp_seconds"
        assert value(before, taken) == value(after, taken)
        assert 'k8sdiag_check_status{check="etcd-quota"' in after
        assert f"127.0.0.1:{closed}" in process.tail()

        kubeconfig.write_text(good)
        again = await_value(port, success, 1)
        assert value(again, taken) > value(after, taken)
