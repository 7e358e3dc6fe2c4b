"""A forecast made on a small real cluster, held against a larger real one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real import apiserver, population
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.record_demo import fill
from tests.real.test_audit import etcd, k8sdiag

SMALL, LARGE, DENSITY = 100, 400, 15


def snapshot(folder: Path, nodes: int) -> Path:
    """What k8sdiag sees of a real cluster of this size."""
    file = folder / f"{nodes}.json.gz"
    with required(), apiserver.started(folder / str(nodes)) as server:
        populate(server, nodes)
        where = ("--kubeconfig", server.kubeconfig("admin", [ADMINS]), *etcd(server))
        done = k8sdiag("snapshot", file, *where)
        assert done.returncode == 0, done.stderr
    return file


def populate(server: ApiServer, count: int) -> None:
    nodes = population.nodes(count)
    pods = list(population.pods([n["metadata"]["name"] for n in nodes], count * DENSITY))
    population.hold_images(nodes, pods)
    fill(server, nodes, pods)


def forecast(file: Path, nodes: int) -> dict[str, dict[str, Any]]:
    done = k8sdiag("forecast", file, "--nodes", str(nodes), "-o", "json")
    assert done.stdout, done.stderr
    return {limit["limitId"]: limit for limit in json.loads(done.stdout)["limits"]}


@pytest.mark.timeout(600)
def test_the_forecast_of_a_small_cluster_is_what_a_large_one_measures(tmp_path: Path) -> None:
    (tmp_path / str(SMALL)).mkdir()
    (tmp_path / str(LARGE)).mkdir()
    predicted = forecast(snapshot(tmp_path, SMALL), LARGE)
    measured = forecast(snapshot(tmp_path, LARGE), LARGE)

    grown = {i: p for i, p in predicted.items() if p["driver"] in ("nodes", "pods") and p["used"]}
    assert len(grown) >= 5
    off = {
        i: (p["used"], p["usedAtTarget"], measured[i]["used"])
        for i, p in grown.items()
        if p["usedAtTarget"] != pytest.approx(measured[i]["used"], rel=0.1)
    }
    assert off == {}
