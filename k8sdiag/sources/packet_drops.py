"""What the kernel has received and thrown away: two looks at two counters.

ListenOverflows is the node's own network namespace's; the second column of softnet_stat is one
per kernel (net/core/net-procfs.c).
"""

import time
from collections.abc import Callable

from k8sdiag.facts.kernel import Drops, PacketDrops
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host

PER_SCRAPE = False  # two looks; node_exporter has both counters for Prometheus to compare


def collect(host: Host) -> PacketDrops:
    counters = (_overflows, _dropped)
    first = [_look(read, host) for read in counters]
    if all(isinstance(count, Unavailable) for count in first):
        raise Unavailable("; ".join(str(count) for count in first))
    again = first
    seconds = host.look_seconds if host.own_kernel and any(first) else 0.0
    if seconds:
        time.sleep(seconds)
        again = [_look(read, host) for read in counters]
    listen, softnet = (_drops(*looks, seconds) for looks in zip(first, again, strict=True))
    return PacketDrops(
        host=host.name,
        listen=listen,
        softnet=softnet,
        look_seconds=seconds,
        provenance="TcpExt ListenOverflows of netstat, softnet_stat",
    )


def _look(read: Callable[[Host], int], host: Host) -> int | Unavailable:
    try:
        return read(host)
    except Unavailable as error:
        return error


def _drops(first: int | Unavailable, again: int | Unavailable, seconds: float) -> Drops:
    if isinstance(first, Unavailable) or isinstance(again, Unavailable):
        return Drops(unknown=str(first if isinstance(first, Unavailable) else again))
    if first and not seconds:
        return Drops(first, unknown=f"{first:,} since boot; one look does not tell if they go on")
    return Drops(again, again - first)


def _overflows(host: Host) -> int:
    lines = [line.split() for line in host.read(f"{host.network}/netstat").splitlines()]
    # A line of names, then one of values.
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if names[:1] == ["TcpExt:"] and "ListenOverflows" in names:
            return int(values[names.index("ListenOverflows")])
    raise Unavailable(f"{host.path(host.network)}/netstat has no ListenOverflows")


def _dropped(host: Host) -> int:
    try:
        rows = [line.split() for line in host.read("/proc/net/softnet_stat").splitlines()]
        return sum(int(row[1], 16) for row in rows)
    except (IndexError, ValueError):
        raise Unavailable("/proc/net/softnet_stat is not as the kernel writes it") from None
