"""The limits of all nodes but this one, by what Prometheus has of them, told by node pool."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from k8sdiag.checks._this_host import WATCH, no_node
from k8sdiag.facts.fleet import FleetLimit, FleetLimits, Reading
from k8sdiag.facts.kernel import OfHost
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Unseen, Usage
from k8sdiag.neighbors import Places, is_node

Verdict = Callable[[str, Reading], Iterable[Finding | Usage]]  # of a subject
Found = dict[str, tuple[str, Reading]]  # the node's name -> its pool, and what is told of it


def elsewhere(
    own: OfHost | Missing,
    fleet: FleetLimits | Missing,
    nodes: Nodes | Missing,
    *,
    verdicts: Mapping[str, Verdict],
    mend: str,
) -> Iterator[Finding | Usage | Unseen]:
    """The verdict on each of these limits for every node but this host, whose look is `own`.

    And which nodes nobody tells of: `mend` is what has to be scraped there.
    """
    host = "" if isinstance(own, Missing) else own.host
    known = Places(nodes.nodes if isinstance(nodes, Nodes) else ())
    why = fleet.reason if isinstance(fleet, Missing) and fleet.asked else WATCH
    heard: list[Found] = []
    if isinstance(fleet, FleetLimits):
        why = f"{fleet.provenance} has no such numbers of theirs: {mend}"
        for limit_id, verdict in verdicts.items():
            told = fleet.limits.get(limit_id, FleetLimit())
            heard.append(_by_node(told.readings, known, host))
            yield from _judged(heard[-1], fleet.provenance, verdict)
            why = told.gap or why
    partly = {name for found in heard for name, (_, told) in found.items() if not told.whole}
    if partly:
        reason = f"their exporters see only a part: {mend}"
        yield Unseen(subject=_some(partly, max(map(len, heard))), reason=reason)
    seen = set.intersection(*map(set, heard)) if heard else set()
    yield from _dark(own, nodes, known, seen, why)


def _by_node(readings: Iterable[Reading], known: Places, host: str) -> Found:
    """The best reading of each node; strangers are left out, and so is this host."""
    here = known.find(host)
    found: Found = {}
    for reading in readings:
        node = next(filter(None, map(known.find, reading.names)), None)
        if (known and node is None) or not reading.names or (node and node is here):
            continue
        name = node.name if node else reading.names[0]
        if not known and is_node(host, name):
            continue
        if name not in found or _rank(reading) < _rank(found[name][1]):
            found[name] = node.pool if node else "", reading
    return dict(sorted(found.items()))


def _rank(reading: Reading) -> tuple[bool, bool]:
    return not reading.whole, reading.source != "k8sdiag"


def _judged(found: Found, source: str, verdict: Verdict) -> Iterator[Finding | Usage]:
    """Of each pool the worst node for each kind of finding, and the fullest node."""
    for pool in sorted({pool for pool, _ in found.values()}):
        of_pool = {name: told for name, (of, told) in found.items() if of == pool}
        said = [
            x
            for name, told in of_pool.items()
            if told.used or told.limit
            for x in verdict(f"node/{name}", replace(told, source=f"{source}, by {told.source}"))
        ]
        findings = [x for x in said if isinstance(x, Finding)]
        for code in sorted({finding.code for finding in findings}):
            alike = [finding for finding in findings if finding.code == code]
            worst = max(alike, key=_badness)
            if len(alike) > 1:
                of = f"{len(alike):,} of {len(of_pool):,} nodes, e.g. "
                of += worst.subject.removeprefix("node/")
                subject = f"pool/{pool or 'unnamed'}"
                worst = replace(worst, subject=subject, message=f"{of}: {worst.message}")
            yield worst
        if usages := [x for x in said if isinstance(x, Usage)]:
            yield max(usages, key=lambda usage: usage.ratio)


def _badness(finding: Finding) -> tuple[int, float]:
    return finding.severity.rank, (finding.observed or 0.0) / (finding.limit or 1.0)


def _dark(
    own: OfHost | Missing, nodes: Nodes | Missing, known: Places, seen: set[str], why: str
) -> Iterator[Unseen]:
    """The nodes of the cluster that nothing is told of."""
    if isinstance(nodes, Missing):
        if nodes.asked:
            yield Unseen(subject="the cluster's nodes", reason=nodes.reason)
        return
    host = "" if isinstance(own, Missing) else own.host
    here = known.find(host)
    dark = {node.name for node in nodes.nodes} - seen - ({here.name} if here else set())
    if dark and isinstance(own, Missing) and own.asked:
        yield Unseen(subject="this host", reason=own.reason)
    if dark and host and not here and not seen:
        yield Unseen(subject=f"all {len(nodes.nodes)} nodes", reason=f"{no_node(host)}: {why}")
    elif dark:
        count = len(nodes.nodes)
        subject = _some(dark, count) if seen else f"{len(dark):,} of {count:,} nodes"
        yield Unseen(subject=subject, reason=why)


def _some(names: set[str], count: int) -> str:
    return f"{len(names)} of {count} nodes, e.g. {min(names)}"
