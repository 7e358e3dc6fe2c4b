"""A host has not been rebooted for long."""

from collections.abc import Iterator

from k8sdiag import Finding, Limits, Remedy, Severity
from k8sdiag_acme.uptime import Uptime


class AcmeUptime(Limits, frozen=True, kw_only=True):
    most_seconds: float = 0.0  # every host has been up longer: this check always speaks


def check(uptime: Uptime, limits: AcmeUptime) -> Iterator[Finding]:
    if uptime.seconds > limits.most_seconds:
        yield Finding(
            code="long",
            severity=Severity.WARNING,
            subject=uptime.host,
            message=f"up for {uptime.seconds:.0f} seconds",
            remedy=Remedy(summary="reboot it", commands=("systemctl reboot",)),
        )
