"""listen-overflow and softnet-drops: what rises between two looks, and nothing else."""

from collections.abc import Callable

import pytest

from k8sdiag.checks import listen_overflow, softnet_drops
from k8sdiag.facts.kernel import Drops, PacketDrops
from k8sdiag.model import Finding, Missing, Said, Severity, Unseen

ALONE = Missing(reason="this command looks at this host alone", asked=False)
NONE = Drops(0, 0)


def listening(drops: Drops) -> list[Said]:
    fact = PacketDrops(host="node-1", listen=drops, softnet=NONE, look_seconds=2.0)
    return list(listen_overflow.check(fact, ALONE, ALONE, listen_overflow.ListenOverflowLimits()))


def receiving(drops: Drops) -> list[Said]:
    fact = PacketDrops(host="node-1", listen=NONE, softnet=drops, look_seconds=2.0)
    return list(softnet_drops.check(fact, ALONE, ALONE, softnet_drops.SoftnetDropsLimits()))


BOTH = pytest.mark.parametrize(
    ("judge", "code"),
    [
        pytest.param(listening, "overflowing", id="listen-overflow"),
        pytest.param(receiving, "dropping", id="softnet-drops"),
    ],
)


@BOTH
@pytest.mark.parametrize(
    "drops",
    [
        pytest.param(NONE, id="never"),
        pytest.param(Drops(90_000, 0), id="many since boot, none now"),
        pytest.param(Drops(90_000, 1), id="one in two seconds"),
    ],
)
def test_quiet(judge: Callable[[Drops], list[Said]], code: str, drops: Drops) -> None:
    assert judge(drops) == []


@BOTH
def test_found(judge: Callable[[Drops], list[Said]], code: str) -> None:
    (finding,) = judge(Drops(90_062, 62))

    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == (code, Severity.WARNING)
    assert "within 2s, 90,062 since boot" in finding.message


@BOTH
def test_what_could_not_be_seen_is_said(judge: Callable[[Drops], list[Said]], code: str) -> None:
    (unseen,) = judge(Drops(unknown="a pod's own network"))

    assert isinstance(unseen, Unseen)
    assert unseen.reason == "a pod's own network"
