"""Ports towards one peer, and what many sockets alone do not say."""

import pytest

from k8sdiag.checks.ephemeral_ports import EphemeralPortsLimits, check
from k8sdiag.facts.kernel import EphemeralPorts, PortUse
from k8sdiag.model import Finding, Missing, Said, Severity, Usage

ALONE = Missing(reason="this command looks at this host alone", asked=False)


def said(sockets: int, busiest: PortUse | None, first: int = 32_768) -> list[Said]:
    fact = EphemeralPorts(host="node-1", first=first, last=60_999, sockets=sockets, busiest=busiest)
    return list(check(fact, ALONE, ALONE, EphemeralPortsLimits()))


@pytest.mark.parametrize(
    ("sockets", "busiest", "used"),
    [
        pytest.param(14_000, None, 14_000, id="too few sockets for any peer to matter"),
        pytest.param(
            60_000, PortUse("10.0.0.1:443", 300), 300, id="an ingress: inbound ones take no port"
        ),
        pytest.param(28_000, PortUse("10.0.0.1:443", 19_000), 19_000, id="below seven tenths"),
    ],
)
def test_quiet(sockets: int, busiest: PortUse | None, used: int) -> None:
    (usage,) = said(sockets, busiest)

    assert isinstance(usage, Usage)
    assert (usage.used, usage.limit) == (used, 28_232)


@pytest.mark.parametrize(
    ("ports", "severity"), [(19_763, Severity.WARNING), (28_232, Severity.CRITICAL)]
)
def test_found(ports: int, severity: Severity) -> None:
    _, finding = said(30_000, PortUse("10.0.0.1:443", ports))

    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("near-limit", severity)
    assert finding.message.endswith("are taken towards 10.0.0.1:443")
    assert finding.remedy
    # A shell must not take the two numbers for two words.
    assert "sysctl -w 'net.ipv4.ip_local_port_range=16384 60999'" in finding.remedy.commands


@pytest.mark.parametrize(("first", "widened"), [(32_768, True), (16_384, False), (1024, False)])
def test_a_range_that_is_wide_is_not_narrowed(first: int, widened: bool) -> None:
    _, finding = said(60_000, PortUse("10.0.0.1:443", 60_999 - first), first)

    assert isinstance(finding, Finding)
    assert finding.remedy
    assert bool(finding.remedy.commands) is widened
