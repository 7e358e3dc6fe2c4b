"""The order of `k8sdiag etcd top`, and its pages."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8sdiag.etcdtop import rank
from k8sdiag.facts.etcd import EtcdSeenByAPIServer
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.model import Missing, Snapshot
from k8sdiag.snapshot import save


def stored(name: str, objects: int | None, size: int | None = None) -> StoredResource:
    return StoredResource(name=name, objects=objects, size_bytes=size)


@pytest.mark.parametrize(
    ("resources", "order"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([stored("a", 0, 0)], [], id="what holds nothing is left out"),
        pytest.param([stored("a", 9, 10), stored("b", 1, 20)], ["b", "a"], id="bytes before count"),
        pytest.param([stored("a", 1), stored("b", 2)], ["b", "a"], id="no bytes: by objects"),
        pytest.param(
            [stored("u", 99), stored("a", 1, 1), stored("v", None)],
            ["a", "u", "v"],
            id="unknown comes last",
        ),
        pytest.param([stored("b", 1, 5), stored("a", 1, 5)], ["a", "b"], id="equals by name"),
    ],
)
def test_order(resources: list[StoredResource], order: list[str]) -> None:
    assert [row.resource for row in rank(resources)] == order
    assert [row.resource for row in rank(reversed(resources))] == order


def test_shares_are_of_what_is_known() -> None:
    rows = rank([stored("a", 10, 300), stored("b", 1, 100), stored("u", 5)])

    assert [(r.share, r.mean_bytes) for r in rows] == [(0.75, 30), (0.25, 100), (None, None)]
    assert [r.share for r in rank([stored("a", 3), stored("b", 1)])] == [0.75, 0.25]


def top(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "k8sdiag", "etcd", "top", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        check=False,
    )


def kept(folder: Path, *resources: StoredResource, gaps: dict[str, str] | None = None) -> Path:
    fact = EtcdObjects(resources=resources, gaps=gaps or {}, provenance="/metrics")
    seen = EtcdSeenByAPIServer(db_bytes={"etcd-0": 3 << 20})
    facts = {"EtcdObjects": fact, "EtcdSeenByAPIServer": seen}
    when = datetime(2026, 3, 1, tzinfo=UTC)
    save(Snapshot(cluster="prod-1", taken_at=when, facts=facts), folder / "s.json.gz")
    return folder / "s.json.gz"


RESOURCES = (stored("pods", 10, 1 << 20), stored("nodes", 4, 1 << 10), stored("odd|\x1b", None))


def test_a_snapshot_is_ranked(tmp_path: Path) -> None:
    path = kept(tmp_path, *RESOURCES)
    done = top(path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Database of etcd/etcd-0: 3 MiB" in done.stdout
    assert ["pods", "10", "1", "MiB", "99.9%", "102", "KiB"] in map(
        str.split, done.stdout.split("\n")
    )
    assert "\x1b" not in done.stdout
    assert "| pods" in top(path, "-o", "markdown").stdout
    assert "2 smaller resources are left out" in top(path, "--limit", "1").stdout
    report = json.loads(top(path, "-o", "json").stdout)
    assert report["resources"][0] == {
        "resource": "pods",
        "objects": 10,
        "bytes": 1 << 20,
        "sampled": 0,
        "share": 0.999,
        "meanBytes": 104858,
    }


def test_what_was_not_counted_is_said(tmp_path: Path) -> None:
    done = top(kept(tmp_path, *RESOURCES, gaps={"odd": "could not be counted"}))

    assert done.returncode == 3
    assert "Not counted: odd: could not be counted" in done.stdout


def test_a_snapshot_without_counts(tmp_path: Path) -> None:
    why = {"EtcdObjects": Missing(reason='may not get "/metrics"')}
    when = datetime(2026, 3, 1, tzinfo=UTC)
    save(Snapshot(cluster="c", taken_at=when, missing=why), tmp_path / "s.json.gz")
    done = top(tmp_path / "s.json.gz")

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == 'k8sdiag: may not get "/metrics"\n'


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["s.json", "--demo"], "drop --demo"),
        (["s.json", "--context", "x"], "drop --context"),
        (["--demo", "--scan"], "drop --scan"),
        (["--scan"], "give --etcd-endpoints"),
        (["--limit", "many"], "not a valid integer"),
        (["none.json.gz"], "No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(args: list[str], says: str) -> None:
    done = top(*args)

    assert says in done.stderr
    assert done.returncode == 2
