"""What one neighbor table says: used by neighbor-table for this host's and for the fleet's."""

from collections.abc import Iterable, Iterator

from k8sdiag import neighbors
from k8sdiag.facts.neighbor import DEFAULT_GC_THRESH, NeighborTable
from k8sdiag.model import Finding, Limits, Severity, Share, Unseen, Usage

NAMES = {"ipv4": "IPv4 (ARP)", "ipv6": "IPv6 (NDP)"}


class NeighborTableLimits(Limits, frozen=True, kw_only=True):
    near: Share = 0.8  # of gc_thresh3; only a warning, for part of the rest may be exempt too
    half: Share = 0.5  # of gc_thresh3; a table that has refused before should stay below it
    # Fewer refusals since boot are one short burst: each packet to a new peer counts as one.
    refusals: int = 10
    # Past gc_thresh2 the kernel collects by force on allocation, at most once in 5 seconds
    # (net/core/neighbour.c): so long after the last time the table was below it.
    calm_seconds: float = 60.0
    flush_seconds: float = 10.0  # a forced collection is this recent where they go on: twice 5 s
    # How far past gc_thresh2, on the way to gc_thresh3, a table must stay though it is collected
    # by force: idle pods' multicast NDP entries hover at gc_thresh2 and do no harm.
    collecting: Share = 0.25
    # More than so many times gc_thresh3 can't count against it: most must be exempt.
    possible: float = 1.1


def usage(
    subject: str,
    table: NeighborTable,
    source: str,
    limits: NeighborTableLimits,
    *,
    several: bool,
    peerless: bool,
) -> Iterator[Usage]:
    """How full it is, where that can be told; it grows with the nodes where there are several.

    It does not where no node has an address of the family: what it holds are the multicast
    entries of pods, which can be collected at any time.
    """
    counted = _counted(table, limits)
    peers = several and not peerless
    if counted is not None and table.gc_thresh3:
        yield Usage(
            limit_id=f"neighbor-{table.family}",
            subject=subject,
            used=float(counted),
            limit=float(table.gc_thresh3),
            unit="entries",
            driver="nodes" if peers else "pods_per_node",
            fixed=float(counted if peerless else _of_pods(table, counted) if peers else 0),
            source=f"{table.entries:,} entries of all network namespaces ({source}), less what is "
            f"known not to count, of {_sysctl(table)}: an upper bound",
        )


def _of_pods(table: NeighborTable, counted: int) -> int:
    """The entries that do not grow with the nodes, as far as it is known which do.

    Those of the node's own network that are on no pod's device are other nodes'.
    """
    of_nodes = [d.entries for d in table.devices if d.counts and not d.device.endswith("*")]
    return max(0, counted - sum(of_nodes)) if table.devices else 0


def _calm(table: NeighborTable, limits: NeighborTableLimits) -> bool:
    """Whether the table was below gc_thresh2 whenever it grew lately."""
    age = table.last_flush_seconds
    return table.forced_gc_runs == 0 or (age is not None and age >= limits.calm_seconds)


def _counted(table: NeighborTable, limits: NeighborTableLimits) -> int | None:
    """At most so many entries count against gc_thresh3, a number the kernel keeps to itself.

    Permanent entries and those a control plane has learned do not. None: it can't be told.
    """
    if table.gc_thresh2 is None or table.gc_thresh3 is None:
        return None
    counted = max(0, table.entries - (table.exempt or 0))
    if _calm(table, limits):
        return min(counted, table.gc_thresh2)
    return counted if counted <= table.gc_thresh3 * limits.possible else None


def verdict(
    subject: str,
    table: NeighborTable,
    tables: Iterable[NeighborTable],
    limits: NeighborTableLimits,
) -> Iterator[Finding | Unseen]:
    """What is wrong with one of a host's tables."""
    name, fulls = NAMES[table.family], table.table_fulls or 0
    second, third = table.gc_thresh2 or 0, table.gc_thresh3 or 0
    counted = _counted(table, limits)
    limit = f"{third:,}" if third else "unknown"
    of_limit = f"{table.entries:,} entries, gc_thresh3 {limit}"
    history = f", and it has refused {fulls:,} since boot" if fulls else ""

    def finding(code: str, severity: Severity, message: str) -> Finding:
        return Finding(
            code=code,
            severity=severity,
            subject=subject,
            message=f"the {name} table {message}",
            observed=float(table.entries),
            limit=float(third) or None,
            remedy=neighbors.raise_to(neighbors.advised(max(table.entries, third)), tables),
        )

    if table.table_fulls_delta:
        yield finding(
            "refusing",
            Severity.CRITICAL,
            f"refused {table.table_fulls_delta:,} new neighbors within {table.look_seconds:g}s "
            f"({of_limit}): packets to new peers vanish",
        )
        return
    if counted is None and not _calm(table, limits):
        why = f"{of_limit}: most must be exempt, and the rest can't be counted from here"
        unread = f"{_sysctl(table)} can't be read from here"
        yield Unseen(subject=f"{subject} {name}", reason=why if second and third else unread)
    if table.table_fulls is None and not _calm(table, limits):
        why = "this kernel does not count refusals, Linux 4.3 and later do"
        yield Unseen(subject=f"{subject} {name}", reason=why)
    default = 0 < third <= DEFAULT_GC_THRESH[2]
    age = table.last_flush_seconds
    collected = age is not None and age < limits.flush_seconds
    if fulls and counted is not None and counted >= third:
        yield finding(
            "refusing",
            Severity.CRITICAL,
            f"is full ({of_limit}){history}: packets to new peers vanish",
        )
    elif counted is not None and counted >= limits.near * third:
        share = min(1.0, counted / third)
        yield finding("near-limit", Severity.WARNING, f"is {share:.0%} full ({of_limit}){history}")
    elif (
        counted is not None
        and collected
        and counted >= second + limits.collecting * (third - second)
    ):
        yield finding(
            "collecting",
            Severity.WARNING,
            f"stays above gc_thresh2 {second:,} though it is collected by force ({of_limit})"
            + history,
        )
    elif fulls and (
        (default and fulls >= limits.refusals)
        or (counted is not None and counted > limits.half * third)
    ):
        still = "its limit was never raised" if default else "is over half full"
        yield finding(
            "has-refused",
            Severity.WARNING,
            f"has refused {fulls:,} new neighbors since boot and {still} ({of_limit})",
        )


def _sysctl(table: NeighborTable) -> str:
    return f"net.{table.family}.neigh.default.gc_thresh3"
