"""The single entries of this network namespace's neighbor table, counted by device and state.

RTM_GETNEIGH; layouts: include/uapi/linux/neighbour.h. It costs a millisecond per thousand.
"""

import re
import socket
import struct
from collections import Counter
from collections.abc import Iterable

from k8sdiag.facts.neighbor import DeviceNeighbors
from k8sdiag.readers import netlink

_GETNEIGH, _NEWNEIGH = 30, 28
_NEIGHBOR = struct.Struct("=BxxxiHBB")  # ndmsg: family, interface, state, flags, type
_AF = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_PERMANENT, _EXTERN_LEARNED = 0x80, 0x10
_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    _PERMANENT: "permanent",
}
# The node's end of one pod's cable, as Calico, Cilium, the VPC networks and bridges name it.
_OF_A_POD = re.compile(r"(cali|lxc|veth|eni|azv)\w+")


def read(family: str) -> list[DeviceNeighbors]:
    return count(netlink.dump(_GETNEIGH, _NEIGHBOR.pack(_AF[family], 0, 0, 0, 0)))


def count(messages: Iterable[tuple[int, bytes]]) -> list[DeviceNeighbors]:
    """Entries by device and state, the most first."""
    found: Counter[tuple[int, int, int]] = Counter()
    for kind, payload in messages:
        if kind == _NEWNEIGH:
            _family, interface, state, flags, _type = _NEIGHBOR.unpack_from(payload)
            found[interface, state, flags & _EXTERN_LEARNED] += 1
    total: Counter[tuple[str, str, bool]] = Counter()
    for (interface, state, learned), entries in found.items():
        counts = not (learned or state & _PERMANENT)
        total[_device(interface), _STATES.get(state, "none"), counts] += entries
    rows = [DeviceNeighbors(*key, entries) for key, entries in total.items()]
    return sorted(rows, key=lambda row: (-row.entries, row))


def _device(interface: int) -> str:
    try:
        name = socket.if_indextoname(interface)
    except OSError:
        return f"interface {interface}"  # it is gone meanwhile
    of_a_pod = _OF_A_POD.fullmatch(name)
    return f"{of_a_pod[1]}*" if of_a_pod else name
