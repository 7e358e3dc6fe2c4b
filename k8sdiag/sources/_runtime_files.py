"""The container runtimes' configuration files of a host, in the order in which they are read."""

import re
import tomllib

from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host
from k8sdiag.sources._containerd_files import File
from k8sdiag.sources._process import mend

_HOSTS = "hosts.toml"


def toml(host: Host, root: str, path: str) -> File:
    """Raises Absent when there is none, Unavailable with one line when it can't be read."""
    try:
        return File(path, tomllib.loads(host.read(root + path)))
    except tomllib.TOMLDecodeError as error:
        # Not the error's own text, which may quote what stands there.
        line = re.search(r"line \d+", str(error))
        raise Unavailable(f"{path}: not TOML" + (f" ({line[0]})" if line else "")) from error
    except Unavailable as error:
        raise type(error)(mend(error)) from error


def with_imports(host: Host, root: str, path: str) -> list[File]:
    """containerd's file and what it imports, and so on, as LoadConfig goes through them."""
    found: list[File] = []
    waiting = [path]
    seen = set()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        found.append(toml(host, root, path))
        imports = found[-1].values.get("imports", [])
        for each in imports if isinstance(imports, list) else []:
            waiting += _matches(host, root, path, str(each))
    return found


def _matches(host: Host, root: str, parent: str, path: str) -> list[str]:
    if not path.startswith("/"):
        path = f"{parent.rpartition('/')[0]}/{path}"
    folder, _, pattern = path.rpartition("/")
    if "*" in folder:
        raise Unavailable(f"{parent}: it imports {path}, whose folders have a pattern")
    if "*" not in pattern:
        return [path]
    return [f.removeprefix(root) for f in host.files(root + folder, pattern)]


def in_folder(host: Host, root: str, folder: str) -> list[File]:
    """CRI-O's drop-ins: all files of the folder and those in it, in the order of filepath.Walk."""
    found = []
    for path in (f.removeprefix(root) for f in host.files(root + folder.rstrip("/"), "*")):
        if host.path(root + path).is_dir():
            found += in_folder(host, root, path)
        else:
            found.append(toml(host, root, path))
    return found


def registries(host: Host, root: str, config_path: str) -> tuple[str, ...]:
    """The registries that have a hosts.toml in one of these folders."""
    found = set()
    for folder in filter(None, config_path.split(":")):
        for path in host.files(root + folder, "*"):
            if host.has(f"{path}/{_HOSTS}"):
                found.add(path.rpartition("/")[2])
    return tuple(sorted(found))


def optional(host: Host, root: str, path: str) -> list[File]:
    try:
        return [toml(host, root, path)]
    except Absent:
        return []
