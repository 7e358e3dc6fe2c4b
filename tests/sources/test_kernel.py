"""The kernel's limits from recorded trees: idle, busy, and as a pod sees them."""

import shutil
import time
from pathlib import Path

import pytest

from k8sdiag.facts.kernel import Drops, InotifyUse, PortUse
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.sources import (
    conntrack,
    ephemeral_ports,
    file_handles,
    inotify,
    packet_drops,
    threads,
)

RECORDED = Path(__file__).parents[1] / "testdata" / "kernel"
POD = "hostNetwork"


def tree(folder: Path, case: str) -> Path:
    """A recorded /proc that a test may change, with the links of its process."""
    proc = Path(shutil.copytree(RECORDED / case, folder / case)) / "proc"
    (proc / "1234/fd").mkdir()
    for line in (proc / "1234/fd.links").read_text().splitlines():
        name, target = line.split(" ", 1)
        (proc / "1234/fd" / name).symlink_to(target)
    return proc


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    return tree(tmp_path, "idle")


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    return tree(tmp_path, "busy")


def make_pod(proc: Path) -> None:
    """What the kernel shows in the initial network namespace only is gone."""
    (proc / "net/stat/arp_cache").unlink()


def test_tracked_connections(idle: Path, busy: Path) -> None:
    quiet, full = (conntrack.collect(Host(procfs=proc)) for proc in (idle, busy))

    assert (quiet.entries, quiet.limit, quiet.drops_delta) == (0, 262_144, 0)
    assert (full.entries, full.limit) == (300, 300)


def test_a_kernel_that_tracks_nothing_is_not_an_unknown_one(idle: Path) -> None:
    shutil.rmtree(idle / "sys/net/netfilter")

    assert conntrack.collect(Host(procfs=idle)).limit is None


def test_a_tree_without_sysctls_is_unknown(idle: Path) -> None:
    shutil.rmtree(idle / "sys/net")

    with pytest.raises(Unavailable, match="nf_conntrack_max does not exist"):
        conntrack.collect(Host(procfs=idle))


def test_a_kernel_without_the_statistics_file_counts_in_a_sysctl(busy: Path) -> None:
    (busy / "net/stat/nf_conntrack").unlink()
    fact = conntrack.collect(Host(procfs=busy))

    assert (fact.entries, fact.drops, fact.drops_delta) == (300, None, None)


def test_the_count_of_a_pod_is_never_the_node_s(busy: Path) -> None:
    make_pod(busy)

    with pytest.raises(Unavailable, match=POD):
        conntrack.collect(Host(procfs=busy))


def test_the_first_process_of_a_mounted_proc_is_the_node_s(idle: Path, busy: Path) -> None:
    make_pod(idle)
    shutil.copytree(busy / "net", idle / "1/net")
    host = Host(procfs=idle)

    assert conntrack.collect(host).entries == 300
    assert packet_drops.collect(host).listen.since_boot > 0
    with pytest.raises(Unavailable, match=r"ip_local_port_range.*hostNetwork"):
        ephemeral_ports.collect(host)  # sysctls follow the reader


def test_drops_are_those_between_two_looks(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = busy / "net/stat/nf_conntrack"
    header, *rows = stat.read_text().splitlines()

    def write(drops: int) -> None:
        column = header.split().index("drop")
        changed = [row.split() for row in rows]
        for row in changed:
            row[column] = f"{drops:08x}"
        stat.write_text("\n".join([header, *(" ".join(row) for row in changed)]))

    write(10)
    host = Host(procfs=busy)
    assert conntrack.collect(host).drops_delta is None  # a recorded tree is one moment

    host.own_kernel = True
    monkeypatch.setattr(time, "sleep", lambda _: write(26))
    fact = conntrack.collect(host)
    assert (fact.drops, fact.drops_delta, fact.look_seconds) == (52, 32, 2.0)


def test_threads(idle: Path) -> None:
    fact = threads.collect(Host(procfs=idle))

    assert (fact.threads, fact.pid_max) == (
        int((idle / "loadavg").read_text().split()[3].split("/")[1]),
        32_768,
    )
    assert fact.threads_max == 192_731


@pytest.mark.parametrize(
    ("release", "known"),
    [("6.18.44-x", False), ("6.14.0", False), ("6.8.0-45-generic", True), ("5.15.0", True)],
)
def test_process_ids_of_a_pod_s_own_namespace(
    idle: Path, monkeypatch: pytest.MonkeyPatch, release: str, known: bool
) -> None:
    monkeypatch.setattr("k8sdiag.readers.host._in_initial_pid_namespace", lambda: False)
    monkeypatch.setattr("platform.release", lambda: release)
    host = Host(procfs=idle)
    host.own_kernel = True
    fact = threads.collect(host)

    assert (fact.pid_max is not None, bool(fact.gaps)) == (known, not known)


def test_open_files(idle: Path) -> None:
    fact = file_handles.collect(Host(procfs=idle))

    first, _, last = (idle / "sys/fs/file-nr").read_text().split()
    assert (fact.allocated, fact.limit) == (int(first), int(last))


def test_few_sockets_need_no_list(idle: Path) -> None:
    (idle / "net/tcp").unlink()
    fact = ephemeral_ports.collect(Host(procfs=idle))

    assert (fact.first, fact.last, fact.busiest) == (32_768, 60_999, None)


def test_the_peer_that_takes_most_ports(busy: Path) -> None:
    fact = ephemeral_ports.collect(Host(procfs=busy))

    assert fact.busiest == PortUse("127.0.0.1:8443", 150)
    assert fact.sockets > 300  # both ends of each connection are here


def test_an_ipv6_peer_and_inbound_connections() -> None:
    local = "0000000000000000FFFF00000100000A"  # ::ffff:10.0.0.1
    peer = "B80D0120000000000000000001000000:01BB"
    rows = [f"0: {local}:9C{i:02X} {peer} 01 x".split() for i in range(3)]
    rows += [f"1: {local}:1F90 {peer} 01 x".split() for _ in range(9)]  # 8080 is not of the range
    rows += [f"2: {local}:9C{i:02X} {peer} 0A x".split() for i in range(9)]

    busiest = ephemeral_ports.busiest_peer(iter(rows), range(0x9C00, 0x9CFF))

    assert busiest == PortUse("[2001:db8::1]:443", 3)


def test_inotify_of_each_user(idle: Path, busy: Path) -> None:
    quiet, more = (inotify.collect(Host(procfs=proc)) for proc in (idle, busy))

    assert quiet.users == (InotifyUse(uid=1000, instances=3, watches=5),)
    assert more.users == (InotifyUse(uid=1000, instances=6, watches=20),)
    assert (quiet.max_instances, quiet.max_watches) == (128, 192_536)


def test_a_tree_without_processes_says_nothing_of_inotify(idle: Path) -> None:
    shutil.rmtree(idle / "1234")

    with pytest.raises(Unavailable, match="no processes"):
        inotify.collect(Host(procfs=idle))


def test_more_open_files_than_we_look_at(idle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "_MOST_FILES", 2)

    assert "too many" in next(iter(inotify.collect(Host(procfs=idle)).gaps.values()))


def test_a_recorded_tree_does_not_tell_whether_drops_go_on(idle: Path, busy: Path) -> None:
    quiet, more = (packet_drops.collect(Host(procfs=proc)) for proc in (idle, busy))

    assert (quiet.listen, quiet.softnet) == (Drops(0, 0), Drops(0, 0))
    assert (more.softnet.since_boot, more.softnet.delta) == (40, None)
    assert "40 since boot" in more.softnet.unknown


def test_two_looks(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = busy / "net/softnet_stat"
    host = Host(procfs=busy)
    host.own_kernel = True
    later = stat.read_text().replace(" 00000028 ", " 00000128 ")
    monkeypatch.setattr(time, "sleep", lambda _: stat.write_text(later))

    fact = packet_drops.collect(host)

    assert fact.softnet == Drops(0x128, 0x100)
    assert fact.listen.delta == 0


def test_a_pod_sees_the_drops_of_its_kernel_and_not_the_listen_queues(busy: Path) -> None:
    make_pod(busy)
    fact = packet_drops.collect(Host(procfs=busy))

    assert POD in fact.listen.unknown
    assert fact.softnet.since_boot == 40


@pytest.mark.parametrize(
    ("source", "path", "text"),
    [
        (threads, "loadavg", "0.1 0.2\n"),
        (threads, "sys/kernel/threads-max", "many\n"),
        (file_handles, "sys/fs/file-nr", "12\n"),
        (ephemeral_ports, "sys/net/ipv4/ip_local_port_range", "1024\n"),
        (conntrack, "net/stat/nf_conntrack", "entries drop\nxyz 1\n"),
    ],
)
def test_a_damaged_file_is_one_line(idle: Path, source: object, path: str, text: str) -> None:
    (idle / path).write_text(text)

    with pytest.raises(Unavailable, match=r"not as (Linux|the kernel) writes it|not a number"):
        source.collect(Host(procfs=idle))  # type: ignore[attr-defined]
