"""What we make of CRI-O's files is what CRI-O says of them, and does."""

import re
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from k8sdiag.facts.runtime import HostRuntime
from k8sdiag.readers import gobuild
from k8sdiag.readers.host import Host
from k8sdiag.sources import runtime_host
from k8sdiag.sources._crio import DOWNLOADS
from k8sdiag.sources._kubelet import duration_seconds
from tests.criofiles import BROKEN, DROP_INS, MAIN, VALID, Broken, Valid, timeout
from tests.hosttree import lay_out, look, run, write
from tests.real import crio
from tests.real.bed import program
from tests.real.components import CRIO
from tests.real.conftest import required
from tests.real.registry import Layers


def printed(toml: str) -> str:
    """What `crio config` prints; defaults are in comments."""
    (value,) = re.findall(r'^(?:# )?\s*pull_progress_timeout = "(.*)"$', toml, re.MULTILINE)
    return str(value)


def write_all(tree: Path, case: Valid | Broken) -> None:
    (tree / "etc").mkdir()
    for path, text in case.files.items():
        write(tree, path, text)


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_crio_still_reports_it(tmp_path: Path, case: Valid) -> None:
    write_all(tmp_path, case)
    with required():
        said = crio.config(tmp_path, case.arguments)

    assert printed(said) == case.reports


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_crio_still_does_not_start_with_it(tmp_path: Path, case: Broken) -> None:
    write_all(tmp_path, case)

    with required(), pytest.raises(subprocess.CalledProcessError) as raised:
        crio.config(tmp_path, case.arguments)
    assert b"level=fatal" in raised.value.stderr
    assert b"update config from" in raised.value.stderr


def test_its_own_default_file_changes_nothing(tmp_path: Path) -> None:
    lay_out(tmp_path)
    write_all(tmp_path, Valid("", {}, ""))
    run(tmp_path, "crio")
    with required():
        (tmp_path / "proc/812/exe").symlink_to(program("crio"))
        write(tmp_path, MAIN, crio.config(tmp_path, []))

    assert printed((tmp_path / MAIN).read_text()) == "0s"
    found = look(tmp_path)

    assert found.runtime
    assert found.runtime.version == CRIO
    assert found.runtime.progress_timeout_seconds == 0
    assert found.unseen == {}


def seen(tmp_path: Path, running: crio.Crio) -> HostRuntime:
    """What is found where this process alone runs: others may run on this machine."""
    write(tmp_path, "proc/sys/kernel/hostname", "node-1")
    (tmp_path / "proc/stat").symlink_to("/proc/stat")
    for pid in (1, running.process.pid):
        (tmp_path / f"proc/{pid}").symlink_to(f"/proc/{pid}")
    return runtime_host.collect(Host(procfs=tmp_path / "proc", rootfs=Path("/")))


def test_the_running_program_is_found_with_its_files_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the releases are built, which tell no version by their file.
    monkeypatch.setattr(gobuild, "version", lambda path, name: "")
    files = {MAIN: timeout('"90s"'), f"{DROP_INS}/a/b.conf": timeout('"2m30s"')}
    with required(), crio.started(tmp_path, files) as running:
        found = seen(tmp_path, running)
        told = printed(running.running_config())

    assert found.unseen == {}
    assert found.runtime
    assert (found.runtime.name, found.runtime.version) == ("cri-o", CRIO)
    assert found.runtime.progress_timeout_seconds == duration_seconds(told) == 150
    source = found.runtime.sources["progress_timeout_seconds"]
    assert source == f"/{DROP_INS}/a/b.conf"


def test_of_each_image_so_many_layers_are_downloaded_at_once(tmp_path: Path) -> None:
    layers = Layers(tmp_path)
    with (
        required(),
        crio.started(tmp_path) as running,
        layers.served("a") as a,
        layers.served("b") as b,
    ):
        first = running.pull(a)
        of_one = layers.settled()
        second = running.pull(b)
        of_two = layers.settled()
        layers.go.set()
        pulled = [first.result(), second.result()]

    assert (of_one, of_two) == (DOWNLOADS, 2 * DOWNLOADS)
    assert all(pulled)


def test_a_pull_without_progress_is_cancelled(tmp_path: Path) -> None:
    layers = Layers(tmp_path)
    files = {MAIN: timeout('"2s"')}
    with required(), crio.started(tmp_path, files) as running, layers.served("a") as a:
        start = time.monotonic()
        with pytest.raises(grpc.RpcError) as raised:
            running.pull(a).result()
        seconds = time.monotonic() - start

    assert "context canceled" in str(raised.value)
    assert 2 <= seconds < 10


def test_before_the_first_bytes_nothing_is_cancelled(tmp_path: Path) -> None:
    layers = Layers(tmp_path, share=0)
    files = {MAIN: timeout('"1s"')}
    with required(), crio.started(tmp_path, files) as running, layers.served("a") as a:
        pull = running.pull(a)
        with pytest.raises(grpc.FutureTimeoutError):
            pull.result(timeout=4)
        layers.go.set()

        assert pull.result()
