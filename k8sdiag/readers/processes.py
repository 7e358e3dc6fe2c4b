"""The running processes of a /proc, by psutil."""

from pathlib import Path

from msgspec import Struct

from k8sdiag.model import Unavailable


class Process(Struct, frozen=True):
    pid: int
    name: str
    arguments: tuple[str, ...]  # may hold secrets of others: look at them, never keep them whole


def named(procfs: Path, names: tuple[str, ...]) -> list[Process]:
    """Those of these names. Raises Unavailable where there is none at all, which can't be."""
    import psutil

    found = []
    before, psutil.PROCFS_PATH = psutil.PROCFS_PATH, str(procfs)
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
        raise Unavailable(f"{procfs} holds no processes") from error
    except OSError as error:
        raise Unavailable(f"{procfs}: {error.strerror}") from error
    finally:
        psutil.PROCFS_PATH = before
    return found
