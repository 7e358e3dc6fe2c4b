"""What one user may have of each: the busiest user counts."""

import pytest

from k8sdiag.checks.inotify import InotifyLimits, check
from k8sdiag.facts.kernel import Inotify, InotifyUse
from k8sdiag.model import Finding, Missing, Said, Severity, Unseen, Usage

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(*users: InotifyUse) -> list[Said]:
    fact = Inotify(host="node-1", max_instances=128, max_watches=10_000, users=users)
    return list(check(fact, ALONE, ALONE, InotifyLimits()))


@pytest.mark.parametrize(
    ("users", "used"),
    [
        pytest.param((), [], id="nobody has any"),
        pytest.param((InotifyUse(0, 102, 7999),), [102, 7999], id="just below eight tenths"),
        pytest.param(
            (InotifyUse(0, 100, 10), InotifyUse(1000, 100, 20)),
            [100, 20],
            id="two users do not share a limit",
        ),
    ],
)
def test_quiet(users: tuple[InotifyUse, ...], used: list[int]) -> None:
    spoken = said(*users)

    assert [x.used for x in spoken if isinstance(x, Usage)] == used
    assert [x for x in spoken if isinstance(x, Finding)] == []


@pytest.mark.parametrize(
    ("user", "severity", "words", "command"),
    [
        pytest.param(
            InotifyUse(0, 103, 0),
            Severity.WARNING,
            "user id 0 has 103 inotify instances of 128",
            "fs.inotify.max_user_instances=8192",
            id="instances",
        ),
        pytest.param(
            InotifyUse(999, 128, 0),
            Severity.CRITICAL,
            "user id 999 has 128",
            "fs.inotify.max_user_instances=8192",
            id="no instance left",
        ),
        pytest.param(
            InotifyUse(0, 1, 8000),
            Severity.WARNING,
            "8,000 inotify watches of 10,000",
            "fs.inotify.max_user_watches=524288",
            id="watches",
        ),
    ],
)
def test_found(user: InotifyUse, severity: Severity, words: str, command: str) -> None:
    (finding,) = (x for x in said(InotifyUse(5, 1, 1), user) if isinstance(x, Finding))

    assert (finding.code, finding.severity) == ("near-limit", severity)
    assert words in finding.message
    assert finding.remedy
    assert finding.remedy.commands == (f"sysctl -w {command}",)


@pytest.mark.parametrize(
    ("hidden", "unseen"),
    [
        pytest.param(5, [], id="a few that hide from root too"),
        pytest.param(6, ["6 of 100 processes"], id="too many to know"),
    ],
)
def test_hidden_processes(hidden: int, unseen: list[str]) -> None:
    fact = Inotify(
        host="n", max_instances=128, max_watches=9, users=(), processes=100, hidden=hidden
    )
    said = check(fact, ALONE, ALONE, InotifyLimits())

    assert [x.subject for x in said if isinstance(x, Unseen)] == unseen
