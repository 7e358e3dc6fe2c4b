"""Forecasts made on a small real cluster, held against larger real ones.

K8SDIAG_FORECAST_SIZES, numbers of nodes from the smallest to the largest, tries other sizes.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.real import apiserver, population
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.record_demo import fill
from tests.real.test_audit import etcd, k8sdiag

SIZES = [int(n) for n in os.environ.get("K8SDIAG_FORECAST_SIZES", "200,400,800").split(",")]
DENSITY = 15  # pods a node


def snapshot(folder: Path, nodes: int) -> Path:
    """What k8sdiag sees of a real cluster of this size."""
    file = folder / f"{nodes}.json.gz"
    (folder / str(nodes)).mkdir()
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


@pytest.mark.timeout(900)
def test_the_forecast_of_a_small_cluster_is_what_larger_ones_measure(tmp_path: Path) -> None:
    small, *larger = SIZES
    start = snapshot(tmp_path, small)
    off: dict[tuple[int, str], tuple[float, float, float]] = {}
    for size in larger:
        predicted = forecast(start, size)
        measured = forecast(snapshot(tmp_path, size), size)
        grown = {
            i: p for i, p in predicted.items() if p["driver"] in ("nodes", "pods") and p["used"]
        }
        assert len(grown) >= 5
        off |= {
            (size, i): (p["used"], p["usedAtTarget"], measured[i]["used"])
            for i, p in grown.items()
            if p["usedAtTarget"] != pytest.approx(measured[i]["used"], rel=0.1)
        }
    assert off == {}
