"""Prometheus' own tool reads what `-o prometheus` writes."""

import subprocess
from pathlib import Path

import pytest

from k8sdiag.exporters import prometheus
from tests.exporters.reports import REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_promtool_has_nothing_to_say(promtool: Path, name: str) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=prometheus.render(REPORTS[name]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
