"""What we make of dockerd's file is what dockerd says of it, and does."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.dockerfiles import BROKEN, VALID, Broken, Valid
from tests.real import docker
from tests.real.bed import StartError
from tests.real.conftest import required
from tests.real.registry import Layers


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_dockerd_still_reports_it(tmp_path: Path, case: Valid) -> None:
    said = r"Max Concurrent Downloads: (\d+)"
    with required(), docker.started(tmp_path, case.text, case.arguments) as process:
        process.await_ready(lambda: re.search(said, process.log.read_text()) is not None)
        (downloads,) = re.findall(said, process.log.read_text())

    assert int(downloads) == case.reports


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_dockerd_still_does_not_start_with_it(tmp_path: Path, case: Broken) -> None:
    with (
        required(),
        docker.started(tmp_path, case.text, case.arguments) as process,
        pytest.raises(StartError, match="unable to configure the Docker daemon with file"),
    ):
        process.await_ready(lambda: False)


def test_all_pulls_share_the_downloads(tmp_path: Path) -> None:
    layers = Layers(tmp_path)
    with (
        required(),
        docker.started(tmp_path) as process,
        layers.served("a") as a,
        layers.served("b") as b,
        ThreadPoolExecutor(2) as threads,
    ):
        process.await_ready((tmp_path / "node/run/docker.sock").exists)
        first = threads.submit(docker.pull, tmp_path, a)
        of_one = layers.settled()
        second = threads.submit(docker.pull, tmp_path, b)
        of_two = layers.settled()
        layers.go.set()
        said = [first.result(), second.result()]

    assert (of_one, of_two) == (3, 3)
    assert all("Downloaded newer image" in each for each in said)
