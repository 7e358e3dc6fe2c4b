"""This host, or a tree that stands for one: /proc, files, processes.

With another tree (a recorded one, or the host's as mounted in a pod) every fact comes from
that tree alone; only `live` hosts may be asked through the kernel's own interfaces.
"""

import errno
import platform
from pathlib import Path

from msgspec import Struct

from k8sdiag.model import Unavailable

# The inode of the initial PID namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC


class Absent(Unavailable):
    """The file does not exist, which is an answer of its own: a feature that is off, say."""


class Process(Struct, frozen=True):
    pid: int
    name: str
    arguments: tuple[str, ...]  # may hold secrets of others: look at them, never keep them whole


class Host:
    """The door to one host. All paths are given as on that host: "/proc/loadavg"."""

    def __init__(self, procfs: Path = Path("/proc"), rootfs: Path = Path("/")) -> None:
        self.procfs = procfs
        self.rootfs = rootfs
        self.live = procfs == Path("/proc") and rootfs == Path("/")
        if self.live:
            self.name = platform.node()
        else:
            try:
                self.name = self.read("/proc/sys/kernel/hostname").strip()
            except Unavailable:
                self.name = str(rootfs if rootfs != Path("/") else procfs)

    @property
    def subject(self) -> str:
        return f"node/{self.name}"

    def read(self, path: str) -> str:
        """A text file of the host.

        Raises Absent when there is none, Unavailable with the reason otherwise.
        """
        real = self.path(path)
        try:
            return real.read_text(errors="replace")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise Absent(f"{real} does not exist") from error
            raise Unavailable(f"{real}: {error.strerror}") from error

    def path(self, path: str) -> Path:
        """Where a path of the host lies here."""
        if path.startswith("/proc/"):
            return self.procfs / path.removeprefix("/proc/")
        return self.rootfs / path.removeprefix("/")

    def files(self, folder: str, pattern: str) -> list[str]:
        """The files of a folder that match, as paths of the host, sorted; none if it is absent."""
        return sorted(f"{folder}/{p.name}" for p in self.path(folder).glob(pattern))

    def processes(self, *names: str) -> list[Process]:
        """The running processes of these names.

        Raises Unavailable when the host's processes can't be seen, which is not "there are none".
        """
        import psutil

        if self.live and (self.procfs / "self/ns/pid").stat().st_ino != _INITIAL_PID_NAMESPACE:
            raise Unavailable(
                "this container sees only its own processes: run it with hostPID, or on the node"
            )
        found = []
        before, psutil.PROCFS_PATH = psutil.PROCFS_PATH, str(self.procfs)
        try:
            for pid in psutil.pids():
                try:
                    name = psutil.Process(pid).name()
                    if name in names:
                        argv = tuple(psutil.Process(pid).cmdline())
                        found.append(Process(pid=pid, name=name, arguments=argv))
                except psutil.Error:
                    continue  # it ended meanwhile
        except OSError as error:
            raise Unavailable(f"{self.procfs}: {error.strerror}") from error
        finally:
            psutil.PROCFS_PATH = before
        return found
