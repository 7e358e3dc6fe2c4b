"""A node runs out of open files.

fs.file-max counts the open files and sockets of all processes of the host together. At it every
program that is not root's fails with "Too many open files in system".
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import level, subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import FileHandles
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

MEND = "scrape `k8sdiag serve node` or node_exporter there"
UNLIMITED = 1 << 60  # systemd sets the largest number there is


class FileHandlesLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of fs.file-max; both as node-mixin's NodeFileDescriptorLimit
    critical: Share = 0.9


def check(
    files: FileHandles | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: FileHandlesLimits,
) -> Iterator[Finding | Usage | Unseen]:
    verdict = partial(_verdict, limits=limits)
    if isinstance(files, FileHandles):
        here = Reading(used=files.allocated, limit=files.limit, source=files.provenance)
        yield from verdict(subject_of(files.host, nodes), here)
    yield from elsewhere(files, fleet, nodes, verdicts={"file-handles": verdict}, mend=MEND)


def _verdict(subject: str, told: Reading, limits: FileHandlesLimits) -> Iterator[Finding | Usage]:
    if told.limit >= UNLIMITED:
        return
    yield from level(
        Usage(
            limit_id="file-handles",
            subject=subject,
            used=told.used,
            limit=told.limit,
            unit="files",
            driver="pods_per_node",
            source=told.source,
        ),
        code="near-limit",
        message=f"{told.used:,.0f} files are open, of at most {told.limit:,.0f} (fs.file-max)",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            {"fs.file-max": 2 * round(told.limit)}, "allow more open files", "file-handles"
        ),
    )
