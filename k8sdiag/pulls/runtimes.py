"""What container runtimes do about image pulls unless they are told otherwise, by version.

From the sources of their releases: internal/cri/config of containerd, pkg/config and
server/image_pull.go of CRI-O, config/types.go of cri-dockerd.
"""

import re

Release = tuple[int, int, int]

# CRI-O releases of each minor version that cancel a pull after 10 s without progress: the first
# one that can be told otherwise, and the first one that no longer does it unless told to.
_CRIO_10_SECONDS = {(1, 30): (11, 14), (1, 31): (3, 9), (1, 32): (0, 4)}


def release(version: str) -> Release | None:
    """ "v1.7.12-k3s1" -> (1, 7, 12); None if it is no version."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def of_node(reported: str) -> tuple[str, Release | None]:
    """The name and release in a node's containerRuntimeVersion, "containerd://2.1.4"."""
    name, _, version = reported.partition("://")
    return name, release(version)


def progress_timeout(name: str, of: Release) -> float:
    """Seconds without progress after which a pull is cancelled by default; 0: never."""
    if name == "containerd":
        if of < (1, 7, 0):
            return 0.0
        return 60.0 if of < (1, 7, 10) else 300.0
    if name == "cri-o":
        _, off = _CRIO_10_SECONDS.get(of[:2], (0, 0))
        return 10.0 if of[2] < off else 0.0
    return 60.0  # cri-dockerd


def fixed_timeout(name: str, of: Release) -> bool:
    """Whether this release has that timeout, or none, built in, and nothing changes it."""
    option, _ = _CRIO_10_SECONDS.get(of[:2], (0, 0))
    return name == "cri-o" and (of < (1, 30, 0) or of[2] < option)
