"""inotify instances and watches of each user, which no counter of the kernel tells.

An instance is an open file called anon_inode:inotify; its watches are lines of its fdinfo, see
proc_pid_fdinfo(5). Only root, or a process of the same user, may look.
"""

import os
from collections import Counter
from pathlib import Path

from k8sdiag.facts.kernel import Inotify, InotifyUse
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host

PER_SCRAPE = False  # a look at every open file of the host

_INSTANCE = "anon_inode:inotify"
_MOST_FILES = 500_000  # a second and a quarter of CPU time
_LIMITS = "/proc/sys/fs/inotify"
_HIDDEN = "their open files are not shown to us: run as root with all capabilities"


def collect(host: Host) -> Inotify:
    limits = [host.number(f"{_LIMITS}/max_user_{what}") for what in ("instances", "watches")]
    if not host.every_process:
        raise Unavailable(
            "this container sees only its own processes, and inotify's limits count all of a "
            "user's: run it with hostPID, or on the node"
        )
    instances: Counter[int] = Counter()
    watches: Counter[int] = Counter()
    gaps: dict[str, str] = {}
    budget = _MOST_FILES
    processes = hidden = 0
    for process in _processes(host):
        processes += 1
        try:
            files = list(os.scandir(process / "fd"))
            found = [f.name for f in files if _link(f) == _INSTANCE]
            budget -= len(files)
            if found:
                uid = _uid(process)
                instances[uid] += len(found)
                watches[uid] += sum(_watches(process / "fdinfo" / name) for name in found)
        except PermissionError:
            hidden += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if budget < 0:
            gaps["the rest of this host's processes"] = f"over {_MOST_FILES:,} open files: too many"
            break
    if not processes:
        raise Unavailable(f"{host.procfs} holds no processes")
    if hidden == processes:
        raise Unavailable(_HIDDEN)
    return Inotify(
        host=host.name,
        max_instances=limits[0],
        max_watches=limits[1],
        processes=processes,
        hidden=hidden,
        users=tuple(InotifyUse(uid, n, watches[uid]) for uid, n in sorted(instances.items())),
        gaps=gaps,
        provenance=f"{host.procfs}/*/fd and fs.inotify",
    )


def _processes(host: Host) -> list[Path]:
    try:
        return [path for path in host.procfs.iterdir() if path.name.isdecimal()]
    except OSError as error:
        raise Unavailable(f"{host.procfs}: {error.strerror}") from error


def _link(file: "os.DirEntry[str]") -> str:
    try:
        return os.readlink(file.path)  # noqa: PTH115 - a Path for each would take twice as long
    except FileNotFoundError:
        return ""  # closed meanwhile


def _uid(process: Path) -> int:
    """The user that the kernel charges; the owner of the folder may be root in its place."""
    for line in (process / "status").read_text(errors="replace").splitlines():
        if line.startswith("Uid:"):  # real, effective, saved, of the file system
            return int(line.split()[2])
    raise ProcessLookupError


def _watches(fdinfo: Path) -> int:
    with fdinfo.open(errors="replace") as lines:
        return sum(line.startswith("inotify ") for line in lines)
