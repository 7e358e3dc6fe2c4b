"""Paths inside a tree that stands for another host's root folder."""

from pathlib import Path

from k8sdiag.model import Unavailable

_MOST_LINKS = 40  # as the kernel follows, path_resolution(7)


def inside(root: Path, path: str) -> Path:
    """Where `path` of that host lies here, with links followed as that host would.

    An absolute link, or one with many "..", would lead to our own files otherwise. Raises
    Unavailable for a link that leads to nothing in the tree: that is not "there is no file".
    """
    if root == Path("/"):
        return root / path.removeprefix("/")
    waiting = [part for part in reversed(path.split("/")) if part]
    here: list[str] = []
    links = 0
    linked = ""
    while waiting:
        part = waiting.pop()
        if part == "..":
            here = here[:-1]
        elif part != ".":
            here.append(part)
        try:
            target = str(root.joinpath(*here).readlink())
        except OSError:
            continue  # no link, or not there, which the caller meets when it opens it
        if target == "/dev/null":  # sysctl.d(5): so a file is switched off
            return Path(target)
        links += 1
        linked = f"{root.joinpath(*here)} is a link to {target}"
        if links > _MOST_LINKS:
            raise Unavailable(f"{linked}: too many links")
        here = [] if target.startswith("/") else here[:-1]
        waiting += [part for part in reversed(target.split("/")) if part]
    real = root.joinpath(*here)
    if linked and not real.exists():
        raise Unavailable(f"{linked}, which this tree does not hold")
    return real
