"""What sources share that look at a program of the host and at its files."""

import os
from collections.abc import Iterable

from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.readers.processes import Process


def contained(host: Host, process: Process) -> bool:
    """Whether it runs in a container (kind, Talos) and not on the host itself."""
    mounts = [host.path(f"/proc/{pid}/ns/mnt") for pid in (1, process.pid)]
    try:
        return not mounts[0].samefile(mounts[1])
    except OSError:  # seen by root only, and not at all in a recorded tree
        return False


def root_of(host: Host, process: Process) -> str:
    """What to put before a path to see it as this process does, which may be in a container."""
    folder = f"/proc/{process.pid}/root"
    return folder if os.access(host.path(folder), os.R_OK | os.X_OK) else ""


def mend(error: Unavailable) -> str:
    """Why a file can't be read, and what helps."""
    return f"{error}: run as root" if "Permission denied" in str(error) else str(error)


def flag(process: Process, names: Iterable[str]) -> str | None:
    """The value that its command line gives the first of these flags; all else stays unread.

    Of a flag that is given twice the last one counts, as in all of Go's packages for them.
    """
    words = process.arguments
    for name in names:
        for i, word in reversed(list(enumerate(words))):
            stem, equals, value = word.partition("=")
            if stem.startswith("-") and stem.lstrip("-") == name:
                return value if equals else words[i + 1] if i + 1 < len(words) else ""
    return None
