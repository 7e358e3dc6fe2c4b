"""The kernel's neighbor tables (ARP and NDP) of one host: one per family, all namespaces."""

from msgspec import Struct

from k8sdiag.model import Fact

DEFAULT_GC_THRESH = (128, 512, 1024)  # net/ipv4/arp.c and net/ipv6/ndisc.c


class DeviceNeighbors(Struct, frozen=True, order=True):
    """Entries of the host's own network namespace; those inside pods are in none."""

    device: str  # devices of single pods together: "cali*"
    state: str  # "reachable", "stale", "permanent", ...: include/uapi/linux/neighbour.h
    counts: bool  # against gc_thresh3: neither permanent nor learned from a control plane
    entries: int


class NeighborTable(Struct, frozen=True, kw_only=True):
    """One family's table. A number that the source cannot tell is None, never 0."""

    family: str  # "ipv4" or "ipv6"
    entries: int  # of every network namespace of this kernel, exempt ones included
    exempt: int | None = None  # permanent and extern_learn ones among them, as far as seen
    devices: tuple[DeviceNeighbors, ...] = ()  # only where they were asked for
    gc_thresh1: int | None = None
    gc_thresh2: int | None = None
    gc_thresh3: int | None = None
    table_fulls: int | None = None  # allocations refused since boot; not counted before Linux 4.3
    table_fulls_delta: int | None = None  # of these between two looks; None: only one was taken
    look_seconds: float = 0.0  # how far apart the two looks were
    forced_gc_runs: int | None = None  # since boot
    last_flush_seconds: float | None = None  # age of the last forced collection; of boot if none


class NeighborTables(Fact, frozen=True, kw_only=True):
    host: str
    tables: tuple[NeighborTable, ...]  # a family that the kernel has switched off is not there


class HostTables(Struct, frozen=True):
    host: str  # as its exporter or its scrape calls it
    tables: tuple[NeighborTable, ...]


class FleetNeighborTables(Fact, frozen=True, kw_only=True):
    """Those of all hosts that run the node exporter; a delta is over the last ten minutes."""

    hosts: tuple[HostTables, ...]


class BootValue(Struct, frozen=True):
    value: int
    file: str  # the last one that sets it


class BootThresholds(Fact, frozen=True, kw_only=True):
    """What this host's files will set at its next boot, of the neighbor tables' thresholds."""

    values: dict[str, BootValue]  # by sysctl: "net.ipv4.neigh.default.gc_thresh3"
    others: str = ""  # what else on this host may set sysctls, in words
