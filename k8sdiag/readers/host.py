"""This host, or a tree that stands for one: /proc, files, processes.

With another tree (a recorded one, or the host's as mounted in a pod) every fact comes from
that tree alone; the kernel's own interfaces may be asked only where it is `own_kernel`.
"""

import errno
import os
import platform
import re
from functools import cached_property
from pathlib import Path

from k8sdiag.model import Unavailable
from k8sdiag.readers import processes, tree
from k8sdiag.readers.processes import Process

# The inode of the initial PID namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC


class Absent(Unavailable):
    """The file does not exist, which is an answer of its own: a feature that is off, say."""


class Host:
    """The door to one host. All paths are given as on that host: "/proc/loadavg".

    A tree given by its rootfs alone has its procfs inside; one given by its procfs alone has no
    other files. `look_seconds` is how far apart two looks at a counter are that must show
    whether it rises; 0 takes one look, for a caller that looks again by itself. `neighbors` also
    asks for the single entries of the neighbor tables.
    """

    def __init__(
        self,
        procfs: Path | None = None,
        rootfs: Path | None = None,
        *,
        look_seconds: float = 2.0,
        neighbors: bool = False,
    ) -> None:
        self.live = procfs in (None, Path("/proc")) and rootfs in (None, Path("/"))
        # Our own / beside another host's /proc would mix two hosts.
        mixed = rootfs == Path("/") and not self.live
        self.rootfs = Path("/") if self.live else None if mixed else rootfs
        self.procfs = procfs or (self.rootfs or Path("/")) / "proc"
        self.look_seconds = look_seconds
        self.neighbors = neighbors
        self.node_resolv_conf: Path | None = None  # what the user gives for the nodes' own file
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
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
        return self.live and (in_pod or not _in_initial_pid_namespace())

    @cached_property
    def every_process(self) -> bool:
        """Whether this /proc has the processes of the whole host."""
        return self.procfs != Path("/proc") or _in_initial_pid_namespace()

    @cached_property
    def own_pid_max(self) -> bool:
        """Whether kernel.pid_max is the host's.

        Since Linux 6.14 it is that of the reader's PID namespace, wherever /proc is mounted.
        """
        if not self.own_kernel or _in_initial_pid_namespace():
            return True
        return [int(n) for n in re.findall(r"\d+", platform.release())[:2]] < [6, 14]

    @cached_property
    def own_network(self) -> bool:
        """Whether /proc/net and /proc/sys/net, which are the reader's own, are the node's.

        The kernel makes this file in the initial network namespace only (neigh_table_init).
        """
        return self.has("/proc/net/stat/arp_cache")

    @property
    def network(self) -> str:
        """The folder of the node's own network namespace. Raises Unavailable in a pod's."""
        # PID 1 of a mounted /proc lives in the host's namespace.
        if self.has("/proc/1/net/stat/arp_cache"):
            return "/proc/1/net"
        if self.own_network:
            return "/proc/net"
        raise Unavailable(
            f"{self.procfs} shows a pod's own network and not the node's: run with hostNetwork, or "
            "mount the host's /proc and give --path.procfs"
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

    def number(self, path: str) -> int:
        """What a sysctl says. Raises as read() does, and Unavailable if it is no number."""
        text = self.read(path).strip()
        try:
            return int(text)
        except ValueError:
            raise Unavailable(f"{self.path(path)}: not a number: {text[:40]!r}") from None

    def has(self, path: str) -> bool:
        """Whether this file can be seen to be there."""
        try:
            return self.path(path).exists()
        except OSError:
            return False  # in a folder that is not for us

    def path(self, path: str) -> Path:
        """Where a path of the host lies here. Raises Unavailable when the tree has no such part."""
        if path.startswith("/proc/"):
            return self.procfs / path.removeprefix("/proc/")
        if self.rootfs is None:
            raise Unavailable(f"{path}: only {self.procfs} was given; add --path.rootfs")
        return tree.inside(self.rootfs, path)

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
        if not self.every_process:
            raise Unavailable(
                "this container sees only its own processes: run it with hostPID, or on the node"
            )
        return processes.named(self.procfs, names)


def _in_initial_pid_namespace() -> bool:
    return Path("/proc/self/ns/pid").stat().st_ino == _INITIAL_PID_NAMESPACE
