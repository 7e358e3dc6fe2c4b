"""Signals of an incident -> verdicts, worst first, and the timeline of their changes.

Pure: a look holds what was seen and why the rest was not. Of what stands at the same level the
likely cause comes first: where etcd takes no writes, nodes turn NotReady because of it, not the
other way round.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from k8sdiag.watching.api_server import api_server
from k8sdiag.watching.etcd import etcd
from k8sdiag.watching.nouns import CAUSES, LEVELS, Level, Look, Verdict, WatchLimits
from k8sdiag.watching.timeline import Entry, Timeline
from k8sdiag.watching.workers import dns, forming, neighbors, nodes, pulls

__all__ = ["Entry", "Level", "Look", "Timeline", "Verdict", "WatchLimits", "verdicts"]


def verdicts(look: Look, limits: WatchLimits | None = None) -> list[Verdict]:
    """One for each subject that was asked for, worst first."""
    limits = limits or WatchLimits()
    found = [
        _worst(etcd(look, limits)),
        _worst(api_server(look, limits)),
        nodes(look.nodes, limits),
        pulls(look, limits),
    ]
    if look.fleet is not None:
        found.append(neighbors(look.fleet))
    if look.fleet is not None or forming(look.warnings):
        found.append(_worst(dns(look, limits)))
    return sorted(found, key=_order)


def _order(verdict: Verdict) -> tuple[int, int]:
    return LEVELS.index(verdict.level), CAUSES.index(verdict.subject)


def _worst(found: Iterable[Verdict]) -> Verdict:
    """With what of the subject was not seen: it may be the rest of the same trouble."""
    worst, *others = sorted(found, key=_order)
    unseen = [v.message for v in others if v.level is Level.UNKNOWN]
    if worst.level is Level.UNKNOWN or not unseen:
        return worst
    return replace(worst, message="; not seen: ".join([worst.message, *unseen]), whole=False)
