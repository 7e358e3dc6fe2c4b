"""The alert rules by Prometheus' own tool, and quiet on tables that are full of exempt entries."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8sdiag import plugins
from k8sdiag.exposition import text
from k8sdiag.facts.neighbor import NeighborTable, NeighborTables
from k8sdiag.families import families
from k8sdiag.judge import judge
from k8sdiag.model import Snapshot

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_are_clean(promtool: Path) -> None:
    rules = FOLDER / "k8sdiag.rules.yml"

    assert "SUCCESS" in told(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)


def test_each_fires_where_it_must_and_not_elsewhere(promtool: Path) -> None:
    assert "SUCCESS" in told(promtool, "test", "rules", FOLDER / "k8sdiag.test.yml")


def table(**numbers: float | None) -> NeighborTable:
    usual = {"gc_thresh1": 128, "gc_thresh2": 512, "gc_thresh3": 1024, "table_fulls": 0}
    return NeighborTable(family="ipv4", **{**usual, **numbers})  # type: ignore[arg-type]


CALM = {"forced_gc_runs": 14, "last_flush_seconds": 9000.0}
BUSY = {"forced_gc_runs": 5000, "last_flush_seconds": 2.0}
QUIET = {
    "flannel on 3,000 nodes, seen from the host": table(entries=3040, exempt=3000, **CALM),
    "the same from a pod, which can't count them": table(entries=3040, **CALM),
    "the same while idle pods are collected by force": table(entries=3040, **BUSY),
    "pristine": table(entries=2, forced_gc_runs=0, last_flush_seconds=50.0),
    "refused long ago": table(entries=71, **{**CALM, "table_fulls": 1927}),
    "at gc_thresh2 by multicast entries": table(entries=520, **BUSY),
}
LOUD = {
    "nearly full": (table(entries=961, **BUSY), "K8sdiagNeighborTableNearLimit"),
    "nearly full beside exempt entries": (
        table(entries=3961, exempt=3000, **BUSY),
        "K8sdiagNeighborTableNearLimit",
    ),
}


def series(found: NeighborTable) -> Iterator[dict[str, str]]:
    """What the node exporter gives for this table, the same for an hour and a half."""
    fact = NeighborTables(host="n1", tables=(found,), provenance="a test")
    snapshot = Snapshot(cluster="n1", taken_at=NOW, facts={"NeighborTables": fact})
    report = judge([plugins.checks()["neighbor-table"]], snapshot)
    for line in text(families(report, states=False)).decode().splitlines():
        name, _, value = line.rpartition(" ")
        if "{" in name and "check_success" not in name:
            labels = name.replace("{", '{job="node",instance="n1",')
            yield {"series": labels, "values": f"{float(value):.0f}x90"}


def firing(found: NeighborTable, alerts: list[str], promtool: Path, folder: Path) -> None:
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    one = {
        "interval": "1m",
        "input_series": list(series(found)),
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "90m",
                "exp_samples": samples,
            }
        ],
    }
    rules = str(FOLDER / "k8sdiag.rules.yml")
    config = {"rule_files": [rules], "evaluation_interval": "1m", "tests": [one]}
    file = folder / "test.json"  # which is YAML
    file.write_text(json.dumps(config))
    told(promtool, "test", "rules", file)


@pytest.mark.parametrize("name", QUIET)
def test_no_alert_on_a_healthy_table(name: str, promtool: Path, tmp_path: Path) -> None:
    firing(QUIET[name], [], promtool, tmp_path)


@pytest.mark.parametrize("name", LOUD)
def test_an_alert_where_the_entries_that_count_come_near(
    name: str, promtool: Path, tmp_path: Path
) -> None:
    found, alert = LOUD[name]

    firing(found, [alert], promtool, tmp_path)
