"""The neighbor tables from files: for another tree, or where netlink is not to be had.

/proc/net/stat/{arp,ndisc}_cache and the thresholds exist in the initial network namespace
only; proc(5) and net/core/neighbour.c tell the format.
"""

from k8sdiag.facts.neighbor import NeighborTable, NeighborTables
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host
from k8sdiag.sources._stat import per_cpu

RANK = 10  # after neighbor_netlink

_CACHES = {"ipv4": "arp_cache", "ipv6": "ndisc_cache"}
_ELSEWHERE = "the tables show only in the initial network namespace: run with hostNetwork"
# Reading /proc/net/arp takes time by the square of its length; 16,384 rows take 0.1 s.
_MOST_ROWS = 16_384
_PERMANENT = 0x4  # ATF_PERM, include/uapi/linux/if_arp.h
_PROXY = 0x8  # ATF_PUBL: answered for others, no entry of the table


def collect(host: Host) -> NeighborTables:
    tables, gaps = [], {}
    for family in _CACHES:
        try:
            tables.append(_table(host, family))
        except Absent as error:
            if _in_use(host, family):
                gaps[f"{family} neighbor table"] = f"{error}: {_ELSEWHERE}"
        except Unavailable as error:
            gaps[f"{family} neighbor table"] = str(error)
    if not tables:
        raise Unavailable("; ".join(gaps.values()))
    if host.neighbors:
        gaps["neighbors by device"] = "no file tells the state of all of them: netlink is needed"
    return NeighborTables(
        host=host.name, tables=tuple(tables), gaps=gaps, provenance=f"files of {host.procfs}"
    )


def _in_use(host: Host, family: str) -> bool:
    """A kernel without IPv6 has none of its files; IPv4 is always there."""
    return family == "ipv4" or host.path("/proc/sys/net/ipv6").is_dir()


def _table(host: Host, family: str) -> NeighborTable:
    rows = per_cpu(_stat(host, _CACHES[family]), _CACHES[family])
    thresholds = [_threshold(host, family, n) for n in (1, 2, 3)]

    def total(column: str) -> int | None:
        return sum(row[column] for row in rows) if column in rows[0] else None

    entries = rows[0]["entries"]  # the same gauge on every CPU's row; all else is per CPU
    return NeighborTable(
        family=family,
        entries=entries,
        exempt=_exempt(host, entries) if family == "ipv4" else None,
        gc_thresh1=thresholds[0],
        gc_thresh2=thresholds[1],
        gc_thresh3=thresholds[2],
        table_fulls=total("table_fulls"),
        forced_gc_runs=total("forced_gc_runs"),
    )


def _stat(host: Host, cache: str) -> str:
    try:
        # /proc/net is the reader's own namespace; PID 1 of a mounted /proc lives in the host's.
        return host.read(f"/proc/1/net/stat/{cache}")
    except Unavailable:
        return host.read(f"/proc/net/stat/{cache}")


def _threshold(host: Host, family: str, which: int) -> int | None:
    try:
        return host.number(f"/proc/sys/net/{family}/neigh/default/gc_thresh{which}")
    except Unavailable:
        return None  # the check says what it can't judge without it


def _exempt(host: Host, entries: int) -> int | None:
    """The permanent entries that this namespace shows; what extern_learn is, no file tells."""
    if entries > _MOST_ROWS:
        return None
    try:
        text = host.read("/proc/net/arp")
    except Unavailable:
        return None
    rows = [line.split() for line in text.splitlines()[1:]]
    flags = [int(row[2], 16) for row in rows if len(row) > 2 and row[2].startswith("0x")]
    return sum(bool(f & _PERMANENT) and not f & _PROXY for f in flags)
