"""This host, or a tree that stands for one: /proc, files, processes.

With another tree (a recorded one, or the host's as mounted in a pod) every fact comes from
that tree alone; the kernel's own interfaces may be asked only where it is `own_kernel`.
"""

import errno
import os
import platform
from functools import cached_property
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
    """The door to one host. All paths are given as on that host: "/proc/loadavg".

    A tree given by its rootfs alone has its procfs inside; one given by its procfs alone has no
    other files. `look_seconds` is how far apart two looks at a counter are that must show
    whether it rises; 0 takes one look, for a caller that looks again by itself.
    """

    def __init__(
        self,
        procfs: Path | None = None,
        rootfs: Path | None = None,
        *,
        look_seconds: float = 2.0,
    ) -> None:
        self.live = procfs in (None, Path("/proc")) and rootfs in (None, Path("/"))
        # Our own / beside another host's /proc would mix two hosts.
        mixed = rootfs == Path("/") and not self.live
        self.rootfs = Path("/") if self.live else None if mixed else rootfs
        self.procfs = procfs or (self.rootfs or Path("/")) / "proc"
        self.look_seconds = look_seconds
        self.name = self._name()

    def _name(self) -> str:
        # A pod is told its node's name by the downward API; its own host name is the pod's.
        if self.own_kernel and (told := os.environ.get("NODE_NAME")):
            return told
        if self.live:
            return platform.node()
        for path in ("/etc/hostname", "/proc/sys/kernel/hostname"):
            try:
                if name := self.read(path).strip():
                    return name
            except Unavailable:
                continue
        return str(self.rootfs or self.procfs).lstrip("/")

    @cached_property
    def own_kernel(self) -> bool:
        """Whether procfs is that of the running kernel, wherever it is mounted.

        Then what is one per kernel may be asked from the kernel itself.
        """
        if self.procfs == Path("/proc"):
            return True
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
        except OSError:
            return False
        # proc(5): the fifth field is where it is mounted, the type comes after a lone dash.
        here = str(self.procfs.resolve())
        return any(m.split()[4] == here and " - proc " in m for m in mounts)

    @cached_property
    def contained(self) -> bool:
        """Whether / is that of a container on the host, and not the host's."""
        return self.live and (
            "KUBERNETES_SERVICE_HOST" in os.environ
            or Path("/proc/self/ns/pid").stat().st_ino != _INITIAL_PID_NAMESPACE
        )

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
        """Where a path of the host lies here. Raises Unavailable when the tree has no such part."""
        if path.startswith("/proc/"):
            return self.procfs / path.removeprefix("/proc/")
        if self.rootfs is None:
            raise Unavailable(f"{path}: only {self.procfs} was given; add --path.rootfs")
        return self.rootfs / path.removeprefix("/")

    def files(self, folder: str, pattern: str) -> list[str]:
        """The files of a folder that match, as paths of the host, sorted; none if it is absent.

        Raises Unavailable when it can't be listed, or the tree has no such part.
        """
        real = self.path(folder)
        try:
            return sorted(f"{folder}/{p.name}" for p in real.iterdir() if p.match(pattern))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:  # glob() would take it for empty
            raise Unavailable(f"{real}: {error.strerror}") from error

    def processes(self, *names: str) -> list[Process]:
        """The running processes of these names.

        Raises Unavailable when the host's processes can't be seen, which is not "there are none".
        """
        import psutil

        own = self.procfs == Path("/proc")
        if own and (self.procfs / "self/ns/pid").stat().st_ino != _INITIAL_PID_NAMESPACE:
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
        except IndexError as error:  # psutil.pids() takes it for granted that there is one
            raise Unavailable(f"{self.procfs} holds no processes") from error
        except OSError as error:
            raise Unavailable(f"{self.procfs}: {error.strerror}") from error
        finally:
            psutil.PROCFS_PATH = before
        return found
