"""What the kernel has received and thrown away: two looks at two counters.

ListenOverflows is the node's own network namespace's; the second column of softnet_stat is one
per kernel (net/core/net-procfs.c).
"""

import time

from k8sdiag.facts.kernel import Drops, PacketDrops
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host

PER_SCRAPE = False  # two looks; node_exporter has both counters for Prometheus to compare


def collect(host: Host) -> PacketDrops:
    gaps: dict[str, str] = {}
    first = _look(host, gaps)
    if all(count is None for count in first):
        raise Unavailable("; ".join(gaps.values()))
    again = None
    if any(first) and host.own_kernel and host.look_seconds:
        time.sleep(host.look_seconds)
        again = _look(host, gaps)
    listen, softnet = (
        _drops(one, again[which] if again else None) for which, one in enumerate(first)
    )
    return PacketDrops(
        host=host.name,
        listen=listen,
        softnet=softnet,
        look_seconds=host.look_seconds if again else 0.0,
        gaps=gaps,
        provenance="TcpExt ListenOverflows of netstat, softnet_stat",
    )


def _look(host: Host, gaps: dict[str, str]) -> tuple[int | None, int | None]:
    """Listen overflows and dropped packets since boot."""
    counts: list[int | None] = []
    for what, read in (("full listen queues", _overflows), ("full CPU input queues", _dropped)):
        try:
            counts.append(read(host))
        except Unavailable as error:
            gaps[what] = str(error)
            counts.append(None)
    return counts[0], counts[1]


def _drops(first: int | None, again: int | None) -> Drops | None:
    if first is None:
        return None
    if again is None:
        return Drops(first, 0 if first == 0 else None)
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
