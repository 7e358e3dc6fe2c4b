"""Local ports that the node's own outgoing TCP connections take.

Pods have network namespaces and port ranges of their own; only the node's is looked at. Format
of /proc/net/tcp: proc_pid_net(5) and net/ipv4/tcp_ipv4.c.
"""

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from k8sdiag.facts.kernel import EphemeralPorts, PortUse
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host

# Below this share of the range no peer can be near its end, and the list is not worth its price.
_WORTH_A_LIST = 0.5
_MOST_ROWS = 200_000  # 0.2 s to look at each
_LISTEN = "0A"


def collect(host: Host) -> EphemeralPorts:
    network = host.network
    if not host.own_network:
        raise Unavailable(
            "net.ipv4.ip_local_port_range is one per network namespace, and a pod reads its own: "
            "run with hostNetwork"
        )
    text = host.read("/proc/sys/net/ipv4/ip_local_port_range")
    try:
        first, last = map(int, text.split())
    except ValueError:
        raise Unavailable(f"ip_local_port_range is not as Linux writes it: {text!r}") from None
    sockets = _sockets(host, network)
    ports, busiest = range(first, last + 1), None
    if sockets >= _WORTH_A_LIST * len(ports):
        busiest = busiest_peer(_rows(host, network), ports)
    return EphemeralPorts(
        host=host.name,
        first=first,
        last=last,
        sockets=sockets,
        busiest=busiest,
        provenance=f"{host.path(network)} and net.ipv4.ip_local_port_range",
    )


def _sockets(host: Host, network: str) -> int:
    """TCP sockets of both families that hold a port, those in TIME_WAIT too."""
    found = 0
    text = host.read(f"{network}/sockstat")
    with suppress(Absent):  # a kernel without IPv6
        text += host.read(f"{network}/sockstat6")
    for line in text.splitlines():
        kind, *pairs = line.split()
        if kind in ("TCP:", "TCP6:"):
            numbers = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
            found += numbers.get("inuse", 0) + numbers.get("tw", 0)
    return found


def _rows(host: Host, network: str) -> Iterator[list[str]]:
    """The sockets, line by line: a list of 60,000 has 9 MB."""
    read = 0
    for name in ("tcp", "tcp6"):
        try:
            with host.path(f"{network}/{name}").open() as lines:
                next(lines, None)
                for line in lines:
                    read += 1
                    if read > _MOST_ROWS:
                        raise Unavailable(
                            f"more than {_MOST_ROWS:,} TCP sockets: too many to look at"
                        )
                    yield line.split(maxsplit=4)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unavailable(f"{host.path(network)}/{name}: {error.strerror}") from error


def busiest_peer(rows: Iterator[list[str]], ports: range) -> PortUse | None:
    """The peer towards which most ports of the range are taken, from one own address."""
    taken: Counter[tuple[str, str]] = Counter()
    for _, local, remote, state, *_ in rows:
        address, _, port = local.rpartition(":")
        if state != _LISTEN and int(port, 16) in ports:
            taken[address, remote] += 1
    if not taken:
        return None
    ((_, peer), count), *_ = taken.most_common(1)
    return PortUse(_readable(peer), count)


def _readable(peer: str) -> str:
    """0100007F:1F90 is 127.0.0.1:8080: the address comes in words of the machine's own order."""
    address, _, port = peer.rpartition(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    name = socket.inet_ntop(family, packed)
    return f"{name}:{int(port, 16)}" if len(words) == 1 else f"[{name}]:{int(port, 16)}"
