"""watch as a user meets it, against servers that answer as told."""

import fcntl
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from k8sdiag.eyes.api_server import ApiEye
from k8sdiag.facts.signals import PodWarnings, Unseen
from k8sdiag.readers.kubeconfig import load
from k8sdiag.sources import _watch_pages
from tests.scripted_api import Answer, ScriptedApi, kubeconfig, refused, scripted
from tests.test_cli import k8sdiag, said

TOO_MANY = refused(429, "Too many requests, please try again later.")
PLAIN = {"Content-Type": "text/plain"}
READY = Answer(b"ok", headers=PLAIN)
TABLE = b'{"kind":"Table","metadata":{},"columnDefinitions":[],"rows":[]}'
NOT_READY = Answer(
    b"[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n", 500, PLAIN
)


def watched(
    server: ScriptedApi, folder: Path, *args: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    config = kubeconfig(folder / "config", server.url)
    begin = time.monotonic()
    done = k8sdiag("watch", "--kubeconfig", config, "--count", "1", *args)
    assert "Traceback" not in done.stderr
    return done, time.monotonic() - begin


def test_an_api_server_that_answers_429_to_lists_is_named_first(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [READY, TOO_MANY, TOO_MANY]
        done, seconds = watched(server, tmp_path)
        asked = [request.path for request in server.asked]

    first, *rest = done.stdout.splitlines()
    assert "CRITICAL api-server: nodes: it answers 429" in first
    assert any("UNKNOWN  nodes: " in line for line in rest)
    assert done.returncode == 1
    assert seconds < 5
    # Not a second time, and no events of a server that has no breath.
    assert asked == ["/readyz", "/api/v1/nodes", "/metrics"]


def test_an_api_server_without_etcd_is_told_by_its_cause(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [NOT_READY, *[refused(500, "etcdserver: request timed out")] * 2]
        done, _ = watched(server, tmp_path)

    first, second, *_ = done.stdout.splitlines()
    assert "CRITICAL etcd: the API server does not reach it: [-]etcd failed" in first
    assert "CRITICAL api-server: " in second
    assert done.returncode == 1


def test_a_server_that_says_nothing_is_a_verdict_within_five_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = kubeconfig(tmp_path / "config", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        done = k8sdiag("watch", "--kubeconfig", config, "--count", "1")
        seconds = time.monotonic() - begin

    assert "CRITICAL api-server: /version: " in done.stdout.splitlines()[0]
    assert done.returncode == 1
    assert seconds < 6  # with the start of Python


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = kubeconfig(tmp_path / "config", f"http://127.0.0.1:{port}")
    done = k8sdiag("watch", "--kubeconfig", config, "--count", "2", "--interval", "1s")

    assert "cannot be reached" in done.stdout.splitlines()[0]
    assert done.stdout.count("cannot be reached: Connection refused") >= 2
    assert done.returncode == 1


def test_with_markdown_only_the_timeline_goes_to_stdout(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [READY, TOO_MANY, TOO_MANY]
        done, _ = watched(server, tmp_path, "-o", "markdown")

    assert done.stdout.startswith("# k8sdiag watch: lab-cluster\n")
    assert "**critical** api-server: nodes: it answers 429" in done.stdout
    assert "CRITICAL api-server" in done.stderr


def test_a_prometheus_that_is_not_there_is_said(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [READY, TOO_MANY, TOO_MANY]
        done, _ = watched(server, tmp_path, "--prometheus", "http://127.0.0.1:9")

    assert "UNKNOWN  dns: Prometheus at http://127.0.0.1:9: connection refused" in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param(["--kubeconfig", "/nowhere"], "/nowhere", id="no kubeconfig"),
        pytest.param(["--interval", "soon"], "give a duration such as", id="interval"),
        pytest.param(["--prometheus", "nine"], "is no URL of a Prometheus", id="Prometheus"),
        pytest.param(["--etcd-endpoints", "a/b"], "is not an endpoint", id="etcd"),
    ],
)
def test_a_mistake_is_one_line(args: list[str], says: str, tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    done = k8sdiag("watch", "--kubeconfig", config, "--count", "1", *args)

    assert says in said(done)
    assert done.returncode == 2


def test_rich_is_left_alone_where_there_is_no_terminal(tmp_path: Path) -> None:
    code = (
        "import sys; from k8sdiag.cli import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "print('rich' in sys.modules)"
    )
    with scripted() as server:
        server.answers = [READY, TOO_MANY, TOO_MANY]
        config = kubeconfig(tmp_path / "config", server.url)
        command = [sys.executable, "-c", code, "watch", "--kubeconfig", str(config), "--count", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[-1] == "False"


def row(
    message: str, age: str = "30s", reason: str = "Failed", about: str = "pod/a"
) -> dict[str, str]:
    return {"Last Seen": age, "Reason": reason, "Object": about, "Message": message}


def test_warnings_are_counted_once_for_each_object_and_only_of_late() -> None:
    found = _watch_pages.warnings(
        [
            row('Failed to pull image "x:1": not found', "2m30s"),
            row("Error: ErrImagePull"),
            row("Error: ImagePullBackOff", about="pod/b"),
            row("Error: ImagePullBackOff", "7m", about="pod/old"),
            row("Error: ImagePullBackOff", "<unknown>", about="pod/never"),
            row("Error: CrashLoopBackOff", about="pod/c"),
            row("Search Line limits were exceeded", reason="DNSConfigForming"),
            row("etcdserver: mvcc: database space exceeded", about="job/d"),
        ],
        more=False,
    )

    assert (found.pulls, found.dns, found.nospace) == (2, 1, 1)
    assert found.pull_example == 'Failed to pull image "x:1": not found'


@pytest.mark.parametrize(
    ("status", "ready"),
    [("Ready", True), ("Ready,SchedulingDisabled", True), ("NotReady", False), ("Unknown", False)],
)
def test_a_node_is_ready_by_its_column(status: str, ready: bool) -> None:
    states = _watch_pages.nodes([{"Name": "n", "Status": status}], 0)

    assert (states.not_ready == ()) is ready


@pytest.mark.parametrize(
    "body", [b"{", b'{"kind":"NodeList","items":[]}', b"<html>"], ids=["cut", "a list", "HTML"]
)
def test_another_reply_than_a_table_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="the reply is"):
        _watch_pages.table(body)


def test_a_page_of_another_program_is_not_taken_for_an_api_servers() -> None:
    with pytest.raises(ValueError, match="no API server"):
        _watch_pages.counters(b"go_goroutines 7\n", 0.0)


def test_on_a_terminal_the_view_is_drawn_in_place_and_the_timeline_stays(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [READY, TOO_MANY, TOO_MANY, READY]
        config = kubeconfig(tmp_path / "config", server.url)
        command = [sys.executable, "-m", "k8sdiag", "watch", "--kubeconfig", str(config)]
        code, text = on_a_terminal([*command, "--count", "2", "--interval", "1s"])

    assert code == 1
    assert "Ctrl-C ends it" in text
    assert "\x1b[" in text  # rich moves the cursor
    after = text.rpartition("Ctrl-C ends it")[2]
    assert "SINCE START" in after
    assert "CRITICAL api-server: nodes: it answers 429" in after


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """The exit code and all that was written to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm"}
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    text = b""
    try:
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(ours, 1 << 16):
                text += chunk
        return running.wait(timeout=30), text.decode()
    finally:
        os.close(ours)
        running.kill()


def test_events_that_were_refused_once_are_asked_for_again(tmp_path: Path) -> None:
    nodes, page = Answer(TABLE), Answer(b"apiserver_request_total 5\n", headers=PLAIN)
    with scripted() as server:
        server.answers = [READY, nodes, page, TOO_MANY, READY, nodes, page, Answer(TABLE)]
        eye = ApiEye(load(kubeconfig(tmp_path / "config", server.url), None))
        eye.blink()
        refused_once = eye.lists["events"].status, eye.warnings
        eye._due = dict.fromkeys(eye._due, 0.0)  # half a minute later
        eye.blink()
        eye._connection.close()

    assert refused_once == (429, Unseen("events: the API server answers 429"))
    assert eye.warnings == PodWarnings()
    assert eye.lists["events"].status == 200
