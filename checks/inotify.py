"""A user of a node runs out of inotify instances or watches.

kubelet, the container runtime and `kubectl logs -f` need one instance each and more, log agents a
watch for each file. All containers that run as the same user share that user's limits, so root's
128 instances end with the number of pods: "too many open files", "no space left on device".
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import level, subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import Inotify
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

MEND = "let a timer write `k8sdiag node -o prometheus=FILE` as root for node_exporter there"
ENOUGH = {"instances": 8192, "watches": 524_288}  # what distributions for Kubernetes set


class InotifyLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.8  # of what one user may have; our judgment
    critical: Share = 1.0  # the next one fails
    # Some processes hide their files from root itself, key agents say; so many leave a picture.
    hidden: Share = 0.05  # of all processes


def check(
    inotify: Inotify | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: InotifyLimits,
) -> Iterator[Finding | Usage | Unseen]:
    if isinstance(inotify, Inotify):
        yield from _here(inotify, nodes, limits)
    verdicts = {
        f"inotify-{what}": partial(_verdict, limits=limits, what=what, who="a user")
        for what in ENOUGH
    }
    yield from elsewhere(inotify, fleet, nodes, verdicts=verdicts, mend=MEND)


def _here(
    inotify: Inotify, nodes: Nodes | Missing, limits: InotifyLimits
) -> Iterator[Finding | Usage | Unseen]:
    if inotify.hidden > limits.hidden * inotify.processes:
        who = f"{inotify.hidden} of {inotify.processes} processes"
        why = "their open files are not shown to us: run as root with all capabilities"
        yield Unseen(subject=who, reason=why)
    for what, limit in (("instances", inotify.max_instances), ("watches", inotify.max_watches)):
        # Only the user that is closest: each has the same limit.
        user = max(inotify.users, key=lambda u: getattr(u, what), default=None)
        if user is None:
            continue
        yield from _verdict(
            subject_of(inotify.host, nodes),
            Reading(
                used=getattr(user, what),
                limit=limit,
                source=f"user id {user.uid}: {inotify.provenance}",
            ),
            limits=limits,
            what=what,
            who=f"user id {user.uid}",
        )


def _verdict(
    subject: str, told: Reading, limits: InotifyLimits, what: str, who: str
) -> Iterator[Finding | Usage]:
    name = f"fs.inotify.max_user_{what}"
    yield from level(
        Usage(
            limit_id=f"inotify-{what}",
            subject=subject,
            used=told.used,
            limit=told.limit,
            unit=what,
            driver="pods_per_node",
            source=told.source,
        ),
        code="near-limit",
        message=f"{who} has {told.used:,.0f} inotify {what} of {told.limit:,.0f} ({name})",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            {name: max(ENOUGH[what], 2 * round(told.limit))}, "allow each user more", "inotify"
        ),
    )
