"""promtool and we agree on which web configuration files can be used."""

import subprocess
from pathlib import Path

import pytest

from tests.webfiles import BAD, GOOD, REFUSED, beside_certificates


@pytest.mark.parametrize("file", [*GOOD, *BAD, *REFUSED], ids=lambda f: f.stem)
def test_promtool_says_the_same(file: Path, tmp_path: Path, promtool: Path) -> None:
    """What tests/test_web_config.py has us take, promtool takes; the bad files it refuses."""
    config = beside_certificates(file, tmp_path)

    done = subprocess.run(
        [promtool, "check", "web-config", config], capture_output=True, text=True, check=False
    )

    assert done.returncode == (file in BAD), done.stdout + done.stderr
