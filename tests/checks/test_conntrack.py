"""The connection tracking table: quiet ones first."""

import pytest

from k8sdiag.checks.conntrack import ConntrackLimits, check
from k8sdiag.facts.kernel import Conntrack
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Finding, Missing, Said, Severity, Unseen, Usage

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(
    entries: int | None,
    limit: int | None = 1000,
    delta: int | None = 0,
    nodes: Nodes | Missing = ALONE,
) -> list[Said]:
    fact = Conntrack(
        host="node-1", limit=limit, entries=entries, drops_delta=delta, look_seconds=2.0
    )
    return list(check(fact, ALONE, nodes, ConntrackLimits()))


@pytest.mark.parametrize(
    ("entries", "limit", "delta"),
    [
        pytest.param(None, None, None, id="nothing is tracked"),
        pytest.param(0, 0, 0, id="a limit of 0 is none"),
        pytest.param(749, 1000, 0, id="three quarters are not reached"),
        pytest.param(700, 1000, 12, id="drops that are not the table's"),
        pytest.param(100, 1000, None, id="drops not seen, far from the limit"),
    ],
)
def test_quiet(entries: int | None, limit: int | None, delta: int | None) -> None:
    assert [x for x in said(entries, limit, delta) if isinstance(x, Finding | Unseen)] == []


@pytest.mark.parametrize(
    ("entries", "delta", "code", "severity", "words"),
    [
        pytest.param(750, 0, "near-limit", Severity.WARNING, "75% full", id="three quarters"),
        pytest.param(900, 0, "near-limit", Severity.CRITICAL, "90% full", id="nine tenths"),
        pytest.param(1000, None, "near-limit", Severity.CRITICAL, "100% full", id="full, one look"),
        pytest.param(
            1000, 31, "dropping", Severity.CRITICAL, "31 packets of new connections", id="full"
        ),
    ],
)
def test_found(entries: int, delta: int | None, code: str, severity: Severity, words: str) -> None:
    (finding,) = (x for x in said(entries, delta=delta) if isinstance(x, Finding))

    assert (finding.code, finding.severity, finding.subject) == (code, severity, "node/node-1")
    assert words in finding.message
    assert finding.remedy
    assert finding.remedy.commands == ("sysctl -w net.netfilter.nf_conntrack_max=2000",)
    assert "kube-proxy" in finding.remedy.summary


def test_one_host_is_not_the_fleet() -> None:
    nodes = Nodes(nodes=(Node(name="node-1"), Node(name="node-2")))
    usage, unseen = said(10, nodes=nodes)

    assert isinstance(unseen, Unseen)
    assert isinstance(usage, Usage)
    assert unseen.subject == "1 of 2 nodes"
    assert (usage.limit_id, usage.used, usage.limit) == ("conntrack", 10, 1000)


def test_a_host_outside_the_cluster_has_no_place_in_its_forecast() -> None:
    finding, unseen = said(950, nodes=Nodes(nodes=(Node(name="other"),)))

    assert isinstance(unseen, Unseen)
    assert isinstance(finding, Finding)
    assert finding.subject == "host/node-1"


def test_a_cluster_that_could_not_be_asked_is_said() -> None:
    _, unseen = said(10, nodes=Missing(reason="403"))

    assert isinstance(unseen, Unseen)
    assert unseen.reason == "403"
