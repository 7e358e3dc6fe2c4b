"""What holds now against what the files set."""

import pytest

from k8sdiag.checks.neighbor_boot import check
from k8sdiag.facts.neighbor import BootThresholds, BootValue, NeighborTable, NeighborTables
from k8sdiag.model import Finding, Said, Unseen

DEFAULT = (128, 512, 1024)
RAISED = (128, 12_288, 16_384)


def said(
    now: tuple[int | None, int | None, int | None],
    files: tuple[int, int, int] | None,
    others: str = "",
    gaps: dict[str, str] | None = None,
) -> list[Said]:
    table = NeighborTable(
        family="ipv4", entries=1, gc_thresh1=now[0], gc_thresh2=now[1], gc_thresh3=now[2]
    )
    values = {
        f"net.ipv4.neigh.default.gc_thresh{n}": BootValue(v, "/etc/sysctl.d/90-n.conf")
        for n, v in enumerate(files or (), 1)
    }
    tables = NeighborTables(host="node-1", tables=(table,))
    return list(check(tables, BootThresholds(values=values, others=others, gaps=gaps or {})))


@pytest.mark.parametrize(
    ("now", "files", "others"),
    [
        pytest.param(DEFAULT, None, "", id="the default, and no file"),
        pytest.param(RAISED, RAISED, "", id="raised, and kept"),
        pytest.param(RAISED, None, "tuned", id="raised by tuned"),
    ],
)
def test_quiet(now: tuple[int, int, int], files: tuple[int, int, int] | None, others: str) -> None:
    assert said(now, files, others) == []


@pytest.mark.parametrize(
    ("now", "files", "code", "words"),
    [
        pytest.param(RAISED, None, "not-kept", "brings back 1,024", id="by hand"),
        pytest.param(
            RAISED,
            DEFAULT,
            "differs",
            "gc_thresh3 is 16,384, /etc/sysctl.d/90-n.conf sets 1,024",
            id="a file says less",
        ),
        pytest.param(DEFAULT, RAISED, "differs", "sets 16,384", id="a file that was not loaded"),
    ],
)
def test_found(
    now: tuple[int, int, int], files: tuple[int, int, int] | None, code: str, words: str
) -> None:
    (finding,) = said(now, files)

    assert isinstance(finding, Finding)
    assert finding.code == code
    assert words in finding.message
    assert finding.remedy
    assert "sysctl -w net.ipv4.neigh.default.gc_thresh3=16384" in finding.remedy.commands


def test_a_file_that_could_not_be_read_may_keep_them() -> None:
    assert said(RAISED, None, gaps={"/etc/sysctl.d": "Permission denied"}) == []


def test_thresholds_that_cannot_be_read_are_said() -> None:
    (unseen,) = said((None, None, None), DEFAULT)

    assert isinstance(unseen, Unseen)
