"""Threads against the smaller of the kernel's two limits."""

import pytest

from k8sdiag.checks.threads import ThreadsLimits, check
from k8sdiag.facts.kernel import Threads
from k8sdiag.model import Finding, Missing, Said, Severity, Usage

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(threads: int, pid_max: int | None, threads_max: int) -> list[Said]:
    fact = Threads(host="node-1", threads=threads, threads_max=threads_max, pid_max=pid_max)
    return list(check(fact, ALONE, ALONE, ThreadsLimits()))


@pytest.mark.parametrize(
    ("threads", "pid_max", "threads_max"),
    [
        pytest.param(22_937, 32_768, 192_731, id="just below seven tenths"),
        pytest.param(30_000, 4_194_304, 192_731, id="pid_max raised"),
        pytest.param(30_000, None, 192_731, id="pid_max not seen, far from threads-max"),
    ],
)
def test_quiet(threads: int, pid_max: int | None, threads_max: int) -> None:
    (usage,) = said(threads, pid_max, threads_max)

    assert isinstance(usage, Usage)
    assert usage.limit == min(pid_max or threads_max, threads_max)


@pytest.mark.parametrize(
    ("threads", "pid_max", "threads_max", "severity", "command"),
    [
        pytest.param(
            22_938, 32_768, 192_731, Severity.WARNING, "kernel.pid_max=4194304", id="pid_max"
        ),
        pytest.param(
            29_500, 32_768, 192_731, Severity.CRITICAL, "kernel.pid_max=4194304", id="nearly all"
        ),
        pytest.param(
            9000, 32_768, 10_000, Severity.CRITICAL, "kernel.threads-max=20000", id="threads-max"
        ),
        pytest.param(
            9000, None, 10_000, Severity.CRITICAL, "kernel.threads-max=20000", id="pid_max not seen"
        ),
    ],
)
def test_found(
    threads: int, pid_max: int | None, threads_max: int, severity: Severity, command: str
) -> None:
    (finding,) = (x for x in said(threads, pid_max, threads_max) if isinstance(x, Finding))

    assert (finding.code, finding.severity) == ("near-limit", severity)
    assert finding.remedy
    assert finding.remedy.commands == (f"sysctl -w {command}",)
