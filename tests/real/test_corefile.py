"""CoreDNS starts with every Corefile that our reader takes, and with none that it refuses."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.corefiles import BROKEN, VALID, Broken, Files, Valid
from tests.real.bed import free_ports, program, running
from tests.real.conftest import required


@pytest.fixture(scope="module")
def coredns() -> Path:
    with required():
        return program("coredns")


def laid_out(folder: Path, text: str, files: Files) -> tuple[Path, dict[str, str]]:
    """The Corefile in its folder, and its environment."""
    for name, content in {"Corefile": text, **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode())
    port, other = free_ports(2)
    return folder / "Corefile", {"PORT": str(port), "OTHER": str(other)}


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_it_starts(coredns: Path, tmp_path: Path, case: Valid) -> None:
    corefile, env = laid_out(tmp_path, case.text, case.files)

    with running("coredns", [coredns, "-conf", corefile], tmp_path, env) as process:
        process.await_ready(lambda: "CoreDNS-" in process.log.read_text(), seconds=20)
        listening = process.log.read_text()

    for zones, _ in case.servers:
        for zone in zones:
            assert f"\n{zone.rstrip('.') + '.'}:" in "\n" + listening


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_it_does_not_start(coredns: Path, tmp_path: Path, case: Broken) -> None:
    corefile, env = laid_out(tmp_path, case.text, case.files)

    done = subprocess.run(
        [coredns, "-conf", corefile],
        env=os.environ | env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert re.search(r":\d+ - (Error during parsing|Syntax error): ", done.stdout)
