"""The neighbor tables as the kernel tells them by RTM_GETNEIGHTBL.

It answers any process in any network namespace, without privilege, in 50 microseconds, and
counts the entries of all namespaces, which no file outside the initial one does. Layouts:
include/uapi/linux/neighbour.h.
"""

import platform
import struct
import time
from collections.abc import Iterable

from msgspec.structs import replace

from k8sdiag.facts.neighbor import NeighborTable, NeighborTables
from k8sdiag.model import Unavailable
from k8sdiag.readers import netlink
from k8sdiag.readers.host import Absent, Host
from k8sdiag.sources import _neighbor_dump as neighbor_dump

RANK = 0  # before neighbor_procfs

_GETNEIGHTBL, _NEWNEIGHTBL = 66, 64
_NAME, _THRESH1, _THRESH2, _THRESH3, _CONFIG, _STATS = 1, 2, 3, 4, 5, 7
_CONFIG_LAYOUT = struct.Struct("=HHIIIIIII")  # ndt_config
_STATS_LAYOUT = struct.Struct("=11Q")  # ndt_stats; kernels before 4.3 end without table_fulls
_FAMILIES = {"arp_cache": "ipv4", "ndisc_cache": "ipv6"}
_STAT_FILES = {"ipv4": "/proc/net/stat/arp_cache", "ipv6": "/proc/net/stat/ndisc_cache"}


def collect(host: Host) -> NeighborTables:
    if not host.own_kernel:
        raise Unavailable(f"netlink tells of this kernel, and {host.procfs} is not its /proc")
    tables = read()
    if host.look_seconds and any(recent(t) for t in tables):
        time.sleep(host.look_seconds)
        tables = [second_look(t, tables, host.look_seconds) for t in read()]
    gaps: dict[str, str] = {}
    return NeighborTables(
        host=host.name,
        tables=tuple(_with_entries(host, table, gaps) for table in tables),
        gaps=gaps,
        provenance="netlink RTM_GETNEIGHTBL",
    )


def recent(table: NeighborTable, seconds: float = 60.0) -> bool:
    """Whether a refusal may be going on: none comes without a forced collection before it."""
    return table.last_flush_seconds is None or table.last_flush_seconds < seconds


def second_look(
    now: NeighborTable, before: Iterable[NeighborTable], seconds: float
) -> NeighborTable:
    (first,) = (t for t in before if t.family == now.family)
    if now.table_fulls is None or first.table_fulls is None:
        return now
    return replace(now, table_fulls_delta=now.table_fulls - first.table_fulls, look_seconds=seconds)


def read() -> list[NeighborTable]:
    tables = parse(netlink.dump(_GETNEIGHTBL, struct.pack("=BBH", 0, 0, 0)))
    if not tables:
        raise Unavailable("the kernel has no neighbor table: a sandbox such as gVisor, not a node")
    return tables


def parse(messages: Iterable[tuple[int, bytes]]) -> list[NeighborTable]:
    """One table a family; the messages of single devices tell nothing of its limits.

    Where a host has many devices the kernel needs several datagrams, and tells the table anew at
    the head of each (neightbl_dump_info in net/core/neighbour.c).
    """
    tables = {}
    for kind, payload in messages:
        found = netlink.attributes(payload[4:]) if kind == _NEWNEIGHTBL else {}
        family = _FAMILIES.get(found.get(_NAME, b"").rstrip(b"\0").decode("ascii", "replace"))
        if family and _CONFIG in found:
            tables[family] = _table(family, found)
    return list(tables.values())


def _table(family: str, found: dict[int, bytes]) -> NeighborTable:
    def number(attribute: int) -> int | None:
        value = found.get(attribute)
        return int(struct.unpack("=I", value)[0]) if value else None

    config = _CONFIG_LAYOUT.unpack_from(found[_CONFIG])
    stats = found.get(_STATS, b"")
    counters = _STATS_LAYOUT.unpack(stats.ljust(_STATS_LAYOUT.size, b"\0")[: _STATS_LAYOUT.size])
    return NeighborTable(
        family=family,
        entries=config[2],
        gc_thresh1=number(_THRESH1),
        gc_thresh2=number(_THRESH2),
        gc_thresh3=number(_THRESH3),
        table_fulls=counters[10] if len(stats) >= _STATS_LAYOUT.size else None,
        forced_gc_runs=counters[9] if len(stats) >= _STATS_LAYOUT.size - 8 else None,
        last_flush_seconds=config[3] / 1000,
    )


def _with_entries(host: Host, table: NeighborTable, gaps: dict[str, str]) -> NeighborTable:
    """The table with what the entries of the host's own network namespace tell of it.

    Asked only by the user, or when it could change the verdict: it costs a millisecond per
    thousand entries.
    """
    matters = table.gc_thresh3 is not None and table.entries * 2 >= table.gc_thresh3
    if not (host.neighbors or matters):
        return table
    try:
        host.read(_STAT_FILES[table.family])  # there only in the initial network namespace
    except Absent:
        if host.neighbors:  # a pod's own entries tell nothing of the host's
            gaps[f"{table.family} neighbors by device"] = "a pod's network: run with hostNetwork"
        return table
    entries = neighbor_dump.read(table.family)
    exempt = sum(e.entries for e in entries if not e.counts)
    return replace(
        table,
        exempt=0 if kernel_counts_all(platform.release()) else exempt,
        devices=tuple(entries) if host.neighbors else (),
    )


def kernel_counts_all(release: str) -> bool:
    """Before Linux 5.0 permanent entries counted against gc_thresh3 as well."""
    major = release.partition(".")[0]
    return major.isdigit() and int(major) < 5
