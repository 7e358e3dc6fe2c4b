"""A user of a node runs out of inotify instances or watches.

kubelet, the container runtime and `kubectl logs -f` need one instance each and more, log agents a
watch for each file. All containers that run as the same user share that user's limits, so root's
128 instances end with the number of pods: "too many open files", "no space left on device".
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import level, subject_of, unseen_nodes
from k8sdiag.facts.kernel import Inotify
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

ENOUGH = {"instances": 8192, "watches": 524_288}  # what distributions for Kubernetes set


class InotifyLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.8  # of what one user may have; our judgment
    critical: Share = 1.0  # the next one fails
    # Some processes hide their files from root itself, key agents say; so many leave a picture.
    hidden: Share = 0.05  # of all processes


def check(
    inotify: Inotify, nodes: Nodes | Missing, limits: InotifyLimits
) -> Iterator[Finding | Usage | Unseen]:
    yield from unseen_nodes(inotify.host, nodes)
    if inotify.hidden > limits.hidden * inotify.processes:
        who = f"{inotify.hidden} of {inotify.processes} processes"
        why = "their open files are not shown to us: run as root with all capabilities"
        yield Unseen(subject=who, reason=why)
    for what, limit in (("instances", inotify.max_instances), ("watches", inotify.max_watches)):
        # Only the user that is closest: each has the same limit.
        user = max(inotify.users, key=lambda u: getattr(u, what), default=None)
        if user is None:
            continue
        used, name = getattr(user, what), f"fs.inotify.max_user_{what}"
        usage = Usage(
            limit_id=f"inotify-{what}",
            subject=subject_of(inotify.host, nodes),
            used=float(used),
            limit=float(limit),
            unit=what,
            driver="pods_per_node",
            source=f"user id {user.uid}: {inotify.provenance}",
        )
        yield from level(
            usage,
            code="near-limit",
            message=f"user id {user.uid} has {used:,} inotify {what} of {limit:,} ({name})",
            warning=limits.warning,
            critical=limits.critical,
            remedy=sysctl.setting(
                {name: max(ENOUGH[what], 2 * limit)}, "allow each user more", "inotify"
            ),
        )
