"""Real load on single limits of this kernel: bounded, and gone when the block ends."""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from tests.real.bed import need_root
from tests.real.netns import Namespace

# nfnetlink_conntrack.h: entries can be added and removed as packets would.
_NETFILTER = 12  # linux/netlink.h
_NEW, _DELETE = 0x100, 0x102
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x600
_NESTED = 0x8000
_SECONDS = 120  # then the kernel drops an entry by itself, whatever became of us

# These hold what they made until the end of their stdin, which comes also when a test is killed.
_RESTORE = 'cat >/dev/null; echo "$2" > "$1"'

_HOLD = """
import ctypes, os, sys
uid, instances, watches = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
libc = ctypes.CDLL(None, use_errno=True)
made = []
while len(made) < instances:
    fd = libc.inotify_init1(0)
    if fd < 0:
        break
    made.append(fd)
folders = [d for d, _, _ in os.walk("/usr/share") if d][:watches]
watching = sum(libc.inotify_add_watch(made[0], d.encode(), 2) >= 0 for d in folders)
print(len(made), watching, ctypes.get_errno(), flush=True)
sys.stdin.read()
"""

_OVERFLOW = """
import socket, sys
door = socket.socket()
door.bind(("127.0.0.1", 0))
door.listen(8)
callers = []
for _ in range(40):
    caller = socket.socket()
    caller.setblocking(False)
    caller.connect_ex(door.getsockname())
    callers.append(caller)
print("full", flush=True)
sys.stdin.read()
"""

_CONNECT = """
import socket, sys
door = socket.socket()
door.bind(("127.0.0.1", 8443))
door.listen(100)
made = []
for _ in range(int(sys.argv[1])):
    made.append(socket.create_connection(("127.0.0.1", 8443)))
    made.append(door.accept()[0])
print(len(made), flush=True)
sys.stdin.read()
"""


@contextmanager
def lowered(sysctl: Path, value: int) -> Iterator[None]:
    """A sysctl at another value; what it was before is restored, also when we are killed."""
    before = sysctl.read_text()
    keeper = subprocess.Popen(
        ["sh", "-c", _RESTORE, "sh", str(sysctl), before.strip()],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        sysctl.write_text(str(value))
        yield
    finally:
        keeper.communicate()
    assert sysctl.read_text() == before


@contextmanager
def tracked(count: int) -> Iterator[int]:
    """So many connections more in this namespace's table; how many the kernel took."""
    need_root("connection tracking entries")
    taken = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as door:
        try:
            for number in range(count):
                if _ask(door, _NEW, number) != 0:
                    break
                taken.append(number)
            yield len(taken)
        finally:
            for number in taken:
                _ask(door, _DELETE, number)


def _ask(door: socket.socket, kind: int, number: int) -> int:
    """The kernel's answer: 0, or an errno below 0."""
    tuples = _attribute(1 | _NESTED, _tuple(number, back=False))
    if kind == _NEW:
        tuples += _attribute(2 | _NESTED, _tuple(number, back=True))
        tuples += _attribute(7, struct.pack(">I", _SECONDS))
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + tuples
    flags = _REQUEST | _ACK | (_CREATE if kind == _NEW else 0)
    door.send(struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body)
    return int(struct.unpack_from("=i", door.recv(4096), 16)[0])


def _tuple(number: int, *, back: bool) -> bytes:
    """One UDP flow between two addresses for benchmarks, RFC 2544, and its way back."""
    ends = [IPv4Address("198.18.0.1").packed, IPv4Address("198.19.0.1").packed]
    ports = [struct.pack(">H", 1024 + number), struct.pack(">H", 53)]
    if back:
        ends.reverse()
        ports.reverse()
    address = _attribute(1, ends[0]) + _attribute(2, ends[1])
    protocol = _attribute(1, bytes([socket.IPPROTO_UDP]))
    protocol += _attribute(2, ports[0]) + _attribute(3, ports[1])
    return _attribute(1 | _NESTED, address) + _attribute(2 | _NESTED, protocol)


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


@contextmanager
def _held(*command: str) -> Iterator[tuple[int, list[int]]]:
    """A child that says what it has and keeps it until the block ends: its pid, its words."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdin
    assert child.stdout
    try:
        words = child.stdout.readline().split()
        yield child.pid, [int(word) for word in words if word.isdecimal()]
    finally:
        child.stdin.close()  # it ends by itself then, also when we are killed
        child.wait()
        child.stdout.close()


@contextmanager
def watching(uid: int, instances: int, watches: int = 0) -> Iterator[tuple[int, list[int]]]:
    """A process of that user with inotify instances, all watches in its first one.

    Gives its pid, and what it got: instances, watches, the errno of the last refusal.
    """
    need_root("another user's processes")
    with _held(sys.executable, "-c", _HOLD, str(uid), str(instances), str(watches)) as held:
        yield held


@contextmanager
def overflowing(namespace: Namespace) -> Iterator[None]:
    """40 clients of a socket that lets 8 wait; they go on trying."""
    with _held(*namespace.command(sys.executable, "-c", _OVERFLOW)):
        yield


@contextmanager
def connected(namespace: Namespace, count: int) -> Iterator[None]:
    """So many connections to 127.0.0.1:8443, both ends in the namespace."""
    with _held(*namespace.command(sys.executable, "-c", _CONNECT, str(count))):
        yield
