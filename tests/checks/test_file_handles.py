"""Open files against fs.file-max."""

import pytest

from k8sdiag.checks.file_handles import FileHandlesLimits, check
from k8sdiag.facts.kernel import FileHandles
from k8sdiag.model import Finding, Missing, Said, Severity

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(allocated: int, limit: int) -> list[Said]:
    fact = FileHandles(host="node-1", allocated=allocated, limit=limit)
    return list(check(fact, ALONE, ALONE, FileHandlesLimits()))


@pytest.mark.parametrize(
    ("allocated", "limit", "usages"),
    [
        pytest.param(699, 1000, 1, id="just below seven tenths"),
        pytest.param(5_000_000, 9_223_372_036_854_775_807, 0, id="systemd's way to say none"),
    ],
)
def test_quiet(allocated: int, limit: int, usages: int) -> None:
    spoken = said(allocated, limit)

    assert [x for x in spoken if isinstance(x, Finding)] == []
    assert len(spoken) == usages


@pytest.mark.parametrize(
    ("allocated", "severity"), [(700, Severity.WARNING), (900, Severity.CRITICAL)]
)
def test_found(allocated: int, severity: Severity) -> None:
    _, finding = said(allocated, 1000)

    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("near-limit", severity)
    assert finding.remedy
    assert finding.remedy.commands == ("sysctl -w fs.file-max=2000",)
