"""Starting real programs and stopping them again, whatever happens to the test.

Each program leads a session of its own and dies with this process (PDEATHSIG), so that nothing
outlives a run: not after a failure, not after Ctrl-C, not after kill -9.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tests.real import components
from tests.real.components import MissingError

GRACE_SECONDS = 10.0
START_SECONDS = 60.0

_without_proxy = build_opener(ProxyHandler({}))


class StartError(Exception):
    """A program ended or stayed silent instead of serving; the message has its last words."""


@dataclass(frozen=True)
class Process:
    """A running program and the file that holds all it says."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def await_ready(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Return once `ready` says so. Raises StartError when it ends before, or too late."""
        deadline = time.monotonic() + seconds
        while not ready():
            if (code := self.popen.poll()) is not None:
                raise StartError(f"{self.name} ended with code {code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready after {seconds:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it and what it started: asked first, forced after a grace. Twice does no harm."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.popen.poll() is not None:
                return
            os.killpg(self.pid, number)
            try:
                self.popen.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def running(
    name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A program that runs until the block ends. Its log is `<name>.log` in the folder."""
    need_program("setpriv", "util-linux")
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            # setpriv, not preexec_fn: no Python runs between fork and exec beside grpc's threads.
            ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_environment(), **(env or {})},
            cwd=folder,
            start_new_session=True,
        )
    process = Process(name, popen, log)
    try:
        yield process
    finally:
        process.stop()


def _environment() -> dict[str, str]:
    """Ours without proxies: no program of the bed talks to anything but the bed."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def in_places(root: Path, places: Sequence[str], command: Sequence[str | Path]) -> list[str | Path]:
    """The command that runs this one with folders of `root` in these places; needs root."""
    mounts = "".join(f'mount --bind "{root}/{place}" /{place} && ' for place in places)
    return ["unshare", "--mount", "sh", "-c", f'{mounts} exec "$@"', "sh", *command]


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for a program's data, removed at the end: only logs and keys are kept."""
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def program(name: str) -> Path:
    """Where a component lies. Raises MissingError: a test never builds anything by itself."""
    if path := components.find(name):
        return path
    raise MissingError(f"{name} is not there: run `make control-plane`")


def need_program(name: str, package: str) -> None:
    if not shutil.which(name):
        raise MissingError(f"{name} is not there: install {package} (`make test-deps`)")


def need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise MissingError(f"{what} needs root")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on; all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def answers(url: str, wanted: bytes = b"") -> Callable[[], bool]:
    """A test of readiness: the URL gives 200 and the wanted text."""

    def ready() -> bool:
        try:
            with _without_proxy.open(url, timeout=2) as reply:
                return wanted in reply.read()
        except OSError:
            return False

    return ready
