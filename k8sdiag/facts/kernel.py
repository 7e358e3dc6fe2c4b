"""Limits of one host's kernel that fall when a cluster grows.

What is one per network or PID namespace is the node's own, or None: a pod's own number looks the
same and is another one.
"""

from msgspec import Struct

from k8sdiag.model import Fact


class OfHost(Fact, frozen=True, kw_only=True):
    host: str


class Conntrack(OfHost, frozen=True, kw_only=True):
    """Connection tracking of the node's own network namespace."""

    limit: int | None  # nf_conntrack_max; None: the kernel tracks no connections, nf_conntrack off
    entries: int | None = None  # None: as above
    drops: int | None = None  # packets dropped since boot, for this and for other reasons
    drops_delta: int | None = None  # of these between two looks; None: only one was taken
    look_seconds: float = 0.0  # how far apart the two looks were


class Threads(OfHost, frozen=True, kw_only=True):
    threads: int  # of all processes on this kernel
    threads_max: int
    pid_max: int | None  # each thread takes one of these; one limit per PID namespace since 6.14


class FileHandles(OfHost, frozen=True, kw_only=True):
    allocated: int  # open files of all processes on this kernel
    limit: int  # fs.file-max; processes of root may exceed it


class PortUse(Struct, frozen=True):
    """Ports for outgoing TCP connections that are taken towards one peer, those that wait too."""

    peer: str  # "10.0.0.1:443"
    ports: int


class EphemeralPorts(OfHost, frozen=True, kw_only=True):
    """Each peer (address and port) can be reached from every port of the range once."""

    first: int
    last: int
    sockets: int  # all TCP sockets, waiting ones too: no peer can have more of them
    busiest: PortUse | None = None  # looked for only where `sockets` leaves it open


class InotifyUse(Struct, frozen=True, order=True):
    uid: int
    instances: int
    watches: int


class Inotify(OfHost, frozen=True, kw_only=True):
    max_instances: int  # both limits are for each user
    max_watches: int
    users: tuple[InotifyUse, ...]
    processes: int = 0
    hidden: int = 0  # of them: their open files are not shown to us


class Drops(Struct, frozen=True):
    since_boot: int = 0
    delta: int | None = None  # between two looks
    unknown: str = ""  # why the delta is not known


class PacketDrops(OfHost, frozen=True, kw_only=True):
    """What the kernel has received and then thrown away."""

    listen: Drops  # connections that found a listening socket's queue full
    softnet: Drops  # packets that found a CPU's input queue full; one counter per kernel
    look_seconds: float = 0.0  # how far apart the two looks were
