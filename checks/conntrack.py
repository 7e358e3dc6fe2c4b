"""The connection tracking table of a node is full, or close to it.

At nf_conntrack_max the kernel drops the first packet of each new connection that passes the
node: of its own programs, and of every pod behind its NAT.
"""

from collections.abc import Iterator
from functools import partial

from k8sdiag import sysctl
from k8sdiag.checks._fleet_limits import elsewhere
from k8sdiag.checks._this_host import level, subject_of
from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.facts.kernel import Conntrack
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Limits, Missing, Share, Unseen, Usage

MEND = "scrape node_exporter with hostNetwork there, or `k8sdiag serve node` with the host's /proc"


class ConntrackLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.75  # of nf_conntrack_max; node-mixin's NodeHighNumberConntrackEntriesUsed
    critical: Share = 0.9  # as node-problem-detector judges it; drops above it are the full table's


def check(
    conntrack: Conntrack | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    limits: ConntrackLimits,
) -> Iterator[Finding | Usage | Unseen]:
    verdict = partial(_verdict, limits=limits)
    if isinstance(conntrack, Conntrack) and conntrack.entries is not None:
        here = Reading(
            used=conntrack.entries,
            limit=conntrack.limit or 0,
            drops=conntrack.drops_delta or 0,
            seconds=conntrack.look_seconds,
            source=conntrack.provenance,
        )
        yield from verdict(subject_of(conntrack.host, nodes), here)
    yield from elsewhere(conntrack, fleet, nodes, verdicts={"conntrack": verdict}, mend=MEND)


def _verdict(subject: str, told: Reading, limits: ConntrackLimits) -> Iterator[Finding | Usage]:
    if not told.limit:
        return  # nothing is tracked
    usage = Usage(
        limit_id="conntrack",
        subject=subject,
        used=told.used,
        limit=told.limit,
        unit="connections",
        driver="pods_per_node",
        source=told.source,
    )
    code, dropped, drops = "near-limit", "", round(told.drops)
    # The counter has other reasons too, such as two first packets of one connection at once.
    if drops and usage.ratio >= limits.critical:
        code = "dropping"
        dropped = f", and {drops:,} packets of new connections were dropped within "
        dropped += f"{told.seconds:g}s"
    yield from level(
        usage,
        code=code,
        message=f"the connection tracking table is {usage.ratio:.0%} full "
        f"({told.used:,.0f} connections, nf_conntrack_max {told.limit:,.0f}){dropped}",
        warning=limits.warning,
        critical=limits.critical,
        remedy=sysctl.setting(
            {"net.netfilter.nf_conntrack_max": 2 * round(told.limit)},
            "give it twice the room, and set conntrack.min and maxPerCore of kube-proxy too, which "
            "sets it back otherwise when it starts",
            "conntrack",
        ),
    )
