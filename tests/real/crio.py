"""A real CRI-O: its `crio config`, and its daemon, which pulls images and runs nothing.

Both see folders of the test in place of /etc and of the other places that they write to, so all
files lie where CRI-O looks by itself.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.criofiles import DROP_INS
from tests.real.bed import Process, in_places, need_root, program, running, scratch

WRITTEN = ("etc", "run", "var/lib", "var/log")
# What the daemon needs to start where it can run no pod; conmon and pinns are never called to.
SETTINGS = """
[crio]
storage_driver = "vfs"
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
disable_hostport_mapping = true
irqbalance_config_restore_file = "disable"
pinns_path = "/etc/stub"
default_runtime = "runc"
[crio.runtime.runtimes.runc]
runtime_path = "RUNC"
monitor_path = "/etc/stub"
[crio.network]
plugin_dirs = ["/etc"]
[crio.nri]
enable_nri = false
"""
STUB = "#!/bin/sh\necho conmon version 2.1.12\n"


@dataclass(frozen=True)
class Crio:
    """A running CRI-O; `root` is what it sees as / in the places above."""

    process: Process
    root: Path

    def running_config(self) -> str:
        """What it answers of the settings that it runs with."""
        return _run([program("crio"), "status", "--socket", self._socket, "config"])

    def pull(self, image: str) -> "grpc.CallFuture[bytes]":
        """The future answer of the CRI's PullImage, as a kubelet calls it."""
        channel = grpc.insecure_channel(f"unix://{self._socket}")
        call = channel.unary_unary("/runtime.v1.ImageService/PullImage", _same, _same)
        # PullImageRequest{image: ImageSpec{image: ...}}, both fields number 1 and short.
        return call.future(_field(_field(image.encode())), timeout=60)

    @property
    def _socket(self) -> str:
        return f"{self.root}/run/crio/crio.sock"


def _same(message: bytes) -> bytes:
    return message


def _field(content: bytes) -> bytes:
    return b"\x0a" + bytes([len(content)]) + content


def config(root: Path, arguments: Sequence[str]) -> str:
    """What `crio config` prints where these folders are; raises CalledProcessError if it fails."""
    need_root("a mount namespace")
    return _run(in_places(root, ["etc"], [program("crio"), *arguments, "config"]))


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


@contextmanager
def started(folder: Path, files: Mapping[str, str] | None = None) -> Iterator[Crio]:
    """A CRI-O with these files, by their paths on its host, that is ready to pull images."""
    need_root("CRI-O")
    runc = program("runc")
    with scratch(folder / "node") as root:
        for place in WRITTEN:
            (root / place).mkdir(parents=True)
        policy = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})
        own = {
            f"{DROP_INS}/00-bed.conf": SETTINGS.replace("RUNC", str(runc)),
            "etc/containers/policy.json": policy,
            "etc/stub": STUB,
        }
        for name, text in (own | dict(files or {})).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "etc/stub").chmod(0o755)
        command = in_places(root, WRITTEN, [program("crio")])
        with running("crio", command, folder) as process:
            process.await_ready((root / "run/crio/version").exists)
            yield Crio(process, root)
