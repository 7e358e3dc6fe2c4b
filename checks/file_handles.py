"""A node runs out of open files.

fs.file-max counts the open files and sockets of all processes of the host together. At it every
program that is not root's fails with "Too many open files in system".
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import level, subject_of, unseen_nodes
from k8sdiag.facts.kernel import FileHandles
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

UNLIMITED = 1 << 60  # systemd sets the largest number there is


class FileHandlesLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of fs.file-max; both as node-mixin's NodeFileDescriptorLimit
    critical: Share = 0.9


def check(
    files: FileHandles, nodes: Nodes | Missing, limits: FileHandlesLimits
) -> Iterator[Finding | Usage | Unseen]:
    yield from unseen_nodes(files.host, nodes)
    if files.limit >= UNLIMITED:
        return
    usage = Usage(
        limit_id="file-handles",
        subject=subject_of(files.host, nodes),
        used=float(files.allocated),
        limit=float(files.limit),
        unit="files",
        driver="pods_per_node",
        source=files.provenance,
    )
    yield from level(
        usage,
        code="near-limit",
        message=f"{files.allocated:,} files are open, of at most {files.limit:,} (fs.file-max)",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            {"fs.file-max": 2 * files.limit}, "allow more open files", "file-handles"
        ),
    )
