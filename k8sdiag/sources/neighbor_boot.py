"""The neighbor thresholds in sysctl.d, as the next boot will set them; see sysctl.d(5)."""

from fnmatch import fnmatchcase

from k8sdiag.facts.neighbor import BootThresholds, BootValue
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host

KEEP_SECONDS = 60.0  # files that change when a node is set up anew

# A file hides all of the same name in the later folders.
_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
_KEYS = [f"net.{f}.neigh.default.gc_thresh{n}" for f in ("ipv4", "ipv6") for n in (1, 2, 3)]
_OTHERS = {"/etc/tuned/active_profile": "tuned"}


def collect(host: Host) -> BootThresholds:
    if host.contained:
        raise Unavailable("sysctl.d of this container is not the host's: mount it, --path.rootfs")
    files: dict[str, str] = {}
    gaps: dict[str, str] = {}
    host.path("/etc")  # a tree without a root folder says so once, not for each
    for folder in _FOLDERS:
        try:
            for path in host.files(folder, "*.conf"):
                files.setdefault(path.rpartition("/")[2], path)
        except Unavailable as error:
            gaps[folder] = str(error)
    # procps reads it last; systemd only where a link in sysctl.d leads to it.
    ordered = [path for _, path in sorted(files.items())] + ["/etc/sysctl.conf"]
    values: dict[str, BootValue] = {}
    read = 0
    for path in ordered:
        try:
            text = host.read(path)
        except Absent:
            continue
        except Unavailable as error:
            gaps[path] = str(error)
            continue
        read += 1
        values |= {key: BootValue(value, path) for key, value in parse(text).items()}
    if not read and not gaps:
        raise Unavailable(f"{host.rootfs} has no sysctl.d")
    others = [name for path, name in _OTHERS.items() if host.has(path)]
    return BootThresholds(
        values=values, gaps=gaps, others=", ".join(others), provenance="sysctl.d and sysctl.conf"
    )


def parse(text: str) -> dict[str, int]:
    """The thresholds that one file sets; of several lines for the same the last one wins."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        # A dash before the name: no error if there is no such sysctl. Names may have slashes.
        name, _, value = line.strip().removeprefix("-").partition("=")
        pattern = name.strip().replace("/", ".")
        if value.strip().isdecimal():
            found |= {key: int(value) for key in _KEYS if fnmatchcase(key, pattern)}
    return found
