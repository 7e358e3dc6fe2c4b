"""A node runs out of threads or process ids.

Every thread of every container takes a process id of the host. When none is left no program can
start: kubelet cannot run probes, the runtime cannot start containers, nobody can log in.
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import level, subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import Threads
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Remedy, Share, Unseen, Usage

MEND = "scrape `k8sdiag serve node` with hostPID there"
PID_MAX_LIMIT = 4_194_304  # the most on 64 bits, include/linux/threads.h
POD_LIMIT = "set the kubelet's podPidsLimit so that no pod takes them all"
EITHER = Remedy(
    summary=f"see on the node which of both limits is the smaller one, and raise it; {POD_LIMIT}",
    commands=("sysctl kernel.pid_max kernel.threads-max",),
)


class ThreadsLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of the smaller limit; as the node monitoring agent of EKS judges it
    critical: Share = 0.9  # the next restart of a large pod may not find room; our judgment


def check(
    threads: Threads | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: ThreadsLimits,
) -> Iterator[Finding | Usage | Unseen]:
    if isinstance(threads, Threads):
        limit, sysctls = threads.threads_max, {"kernel.threads-max": 2 * threads.threads_max}
        if threads.pid_max is not None and threads.pid_max <= threads.threads_max:
            limit, sysctls = threads.pid_max, {"kernel.pid_max": PID_MAX_LIMIT}
        yield from _verdict(
            subject_of(threads.host, nodes),
            Reading(used=threads.threads, limit=limit, source=threads.provenance),
            limits=limits,
            which=next(iter(sysctls)),
            remedy=sysctl.setting(sysctls, f"let the kernel run more; {POD_LIMIT}", "threads"),
        )
    verdict = partial(_verdict, limits=limits, which="the smaller of both limits", remedy=EITHER)
    yield from elsewhere(threads, fleet, nodes, verdicts={"threads": verdict}, mend=MEND)


def _verdict(
    subject: str, told: Reading, limits: ThreadsLimits, which: str, remedy: Remedy
) -> Iterator[Finding | Usage]:
    yield from level(
        Usage(
            limit_id="threads",
            subject=subject,
            used=told.used,
            limit=told.limit,
            unit="threads",
            driver="pods_per_node",
            source=told.source,
        ),
        code="near-limit",
        message=f"{told.used:,.0f} threads are running, of at most {told.limit:,.0f} ({which})",
        warning=limits.warning,
        critical=limits.critical,
        remedy=remedy,
    )
