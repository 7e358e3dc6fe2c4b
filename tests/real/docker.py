"""A real dockerd, which pulls images and runs nothing.

It sees folders of the test in place of /etc and of the other places that it writes to, starts a
containerd of its own, and touches no network.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.dockerfiles import FILE
from tests.real.bed import Process, in_places, need_root, program, running, scratch

WRITTEN = ("etc", "run", "var/lib", "var/log")
NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")


@contextmanager
def started(
    folder: Path, text: str | None = None, arguments: Sequence[str] = ()
) -> Iterator[Process]:
    """A dockerd with this file; its socket is folder/node/run/docker.sock when it is ready."""
    need_root("dockerd")
    programs = [program(name) for name in ("dockerd", "containerd", "runc")]
    with scratch(folder / "node") as root:
        for place in WRITTEN:
            (root / place).mkdir(parents=True)
        (root / FILE).parent.mkdir()
        if text is not None:
            (root / FILE).write_text(text)
        path = ":".join([*(str(p.resolve().parent) for p in programs), os.environ["PATH"]])
        own = ["--debug", "--storage-driver=vfs", *NO_NETWORK]
        command = in_places(root, WRITTEN, [programs[0], *own, *arguments])
        with running("dockerd", command, folder, {"PATH": path}) as process:
            yield process


def pull(folder: Path, image: str) -> str:
    """What the API of the dockerd in this folder answers when the pull has ended."""
    connection = HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(folder / "node/run/docker.sock"))
    connection.request("POST", f"/images/create?fromImage={image}")
    body = connection.getresponse().read().decode()
    connection.close()
    return body
