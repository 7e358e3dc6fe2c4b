"""The cluster exporter as a process, beside an API server that accepts and never answers."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.bed import Process, free_ports, running


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
    }
    path.write_text(json.dumps(config))
    return path


def command(*options: object) -> list[str]:
    return [sys.executable, "-m", "k8sdiag", "serve", "cluster", *map(str, options)]


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def listens(port: int) -> bool:
    try:
        return ask(port, "/-/healthy")[0] == 200
    except OSError:
        return False


def test_while_the_first_look_lasts_it_is_not_ready_and_ends_when_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with silent() as server:
        listen = f"--web.listen-address=127.0.0.1:{port}"
        options = (listen, "--kubeconfig", kubeconfig(tmp_path, server))
        with running("exporter", command(*options), tmp_path) as process:
            process.await_ready(lambda: listens(port))
            assert ask(port, "/-/ready") == (503, "the first look is not over\n")
            status, page = ask(port, "/metrics")
            assert status == 200
            assert "\nk8sdiag_snapshot_refresh_success 0.0\n" in page
            assert "k8sdiag_check" not in page

            ended(process)
    assert process.log.read_text() == f"k8sdiag: listening on http://127.0.0.1:{port}\n"


def ended(process: Process) -> None:
    """Told to end in the middle of a look, it does, and says nothing."""
    begin = time.monotonic()
    process.popen.terminate()
    assert process.popen.wait(10) == 0
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--context", "other"], 'no context "other"; there is: c'),
        (["--interval", "5"], "'5': give a duration such as 5m or 90s"),
        (["--interval", "0s"], "it can't be nothing"),
        (["--check", "neighbor-boot"], "run `k8sdiag serve node` on each"),
        (["--web.config.file", "/nowhere/web.yml"], "/nowhere/web.yml: cannot be read"),
        (["--web.telemetry-path", "/-/ready"], "give a path such as /metrics"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    options: list[str], line: str, tmp_path: Path
) -> None:
    with silent() as server:
        given = ["--kubeconfig", kubeconfig(tmp_path, server), *options]
        done = subprocess.run(
            command("--web.listen-address=127.0.0.1:0", *given),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert line in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
