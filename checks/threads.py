"""A node runs out of threads or process ids.

Every thread of every container takes a process id of the host. When none is left no program can
start: kubelet cannot run probes, the runtime cannot start containers, nobody can log in.
"""

from collections.abc import Iterator

from k8sdiag import sysctl
from k8sdiag.checks._this_host import level, subject_of, unseen_nodes
from k8sdiag.facts.kernel import Threads
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

PID_MAX_LIMIT = 4_194_304  # the most on 64 bits, include/linux/threads.h


class ThreadsLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7  # of the smaller limit; as the node monitoring agent of EKS judges it
    critical: Share = 0.9  # the next restart of a large pod may not find room; our judgment


def check(
    threads: Threads, nodes: Nodes | Missing, limits: ThreadsLimits
) -> Iterator[Finding | Usage | Unseen]:
    yield from unseen_nodes(threads.host, nodes)
    limit, sysctls = threads.threads_max, {"kernel.threads-max": 2 * threads.threads_max}
    if threads.pid_max is not None and threads.pid_max <= threads.threads_max:
        limit, sysctls = threads.pid_max, {"kernel.pid_max": PID_MAX_LIMIT}
    name = next(iter(sysctls))
    usage = Usage(
        limit_id="threads",
        subject=subject_of(threads.host, nodes),
        used=float(threads.threads),
        limit=float(limit),
        unit="threads",
        driver="pods_per_node",
        source=threads.provenance,
    )
    yield from level(
        usage,
        code="near-limit",
        message=f"{threads.threads:,} threads are running, of at most {limit:,} ({name})",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            sysctls,
            "let the kernel run more; set the kubelet's podPidsLimit so that no pod takes them all",
            "threads",
        ),
    )
