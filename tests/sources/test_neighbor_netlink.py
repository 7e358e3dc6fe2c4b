"""What the kernel's messages say, as recorded; a kernel that does not answer."""

import struct
from pathlib import Path

import pytest
from msgspec.structs import replace

from k8sdiag.facts.neighbor import DeviceNeighbors, NeighborTable
from k8sdiag.model import Unavailable
from k8sdiag.readers import netlink
from k8sdiag.readers.host import Host
from k8sdiag.sources import _neighbor_dump as neighbor_dump
from k8sdiag.sources import neighbor_netlink as source

TESTDATA = Path(__file__).parents[1] / "testdata" / "neighbor"
RECORDED = (TESTDATA / "neightbl-6.18.bin").read_bytes()


def test_one_table_a_family_and_none_for_a_device() -> None:
    messages = list(netlink.messages(RECORDED))
    four, six = source.parse(messages)

    assert len(messages) == 5  # the loopback device has two, and the dump an end
    assert four == NeighborTable(
        family="ipv4",
        entries=258,
        gc_thresh1=64,
        gc_thresh2=128,
        gc_thresh3=256,
        table_fulls=110,
        forced_gc_runs=114,
        last_flush_seconds=0.012,
    )
    assert (six.family, six.entries, six.gc_thresh3) == ("ipv6", 3, 1024)


def test_a_table_that_the_kernel_tells_twice_is_one() -> None:
    messages = list(netlink.messages(RECORDED))

    assert [t.family for t in source.parse([*messages, *messages])] == ["ipv4", "ipv6"]


def test_a_kernel_that_counts_no_refusals_is_not_one_without() -> None:
    def shorten(payload: bytes) -> bytes:
        """As before Linux 4.3: statistics without their last counter."""
        full = payload.find((4 + 11 * 8).to_bytes(2, "little") + b"\x07\x00")
        return payload[:full] + (4 + 10 * 8).to_bytes(2, "little") + payload[full + 2 : full + 84]

    (kind, payload), *_ = netlink.messages(RECORDED)
    (old,) = source.parse([(kind, shorten(payload))])

    assert (old.entries, old.forced_gc_runs, old.table_fulls) == (258, 114, None)


def test_the_second_look_tells_what_rose() -> None:
    first = source.parse(netlink.messages(RECORDED))
    later = replace(first[0], table_fulls=595)

    assert source.second_look(later, first, 2.0).table_fulls_delta == 485
    assert source.second_look(first[0], first, 2.0).table_fulls_delta == 0


@pytest.mark.parametrize(
    ("age", "looks_again"),
    [
        pytest.param(86_400.0, False, id="calm: nothing can be refused now"),
        pytest.param(0.5, True, id="collected by force just now"),
        pytest.param(None, True, id="unknown"),
    ],
)
def test_it_looks_again_only_where_it_may_rise(age: float | None, looks_again: bool) -> None:
    table = NeighborTable(family="ipv4", entries=1, last_flush_seconds=age)

    assert source.recent(table) is looks_again


@pytest.mark.parametrize(
    ("release", "all_count"),
    [("6.18.44-amd64", False), ("5.0.0", False), ("4.19.0-27-amd64", True), ("unknown", False)],
)
def test_permanent_entries_count_on_old_kernels(release: str, all_count: bool) -> None:
    assert source.kernel_counts_all(release) is all_count


def entry(interface: int, state: int, flags: int = 0) -> tuple[int, bytes]:
    return 28, struct.pack("=BxxxiHBB", 2, interface, state, flags, 1)


def test_entries_by_device_and_state(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {2: "eth0", 3: "cali0123456789a", 4: "calif00", 5: "vxlan.calico", 6: "cilium_host"}

    def name(interface: int) -> str:
        if interface not in names:
            raise OSError(19, "No such device")
        return names[interface]

    monkeypatch.setattr("socket.if_indextoname", name)
    dump = [entry(2, 0x02)] * 5 + [entry(3, 0x04), entry(4, 0x04), entry(5, 0x80), entry(7, 0x20)]
    dump += [entry(6, 0x02, 0x10), (3, b"end")]

    assert neighbor_dump.count(dump) == [
        DeviceNeighbors("eth0", "reachable", True, 5),
        DeviceNeighbors("cali*", "stale", True, 2),
        DeviceNeighbors("cilium_host", "reachable", False, 1),
        DeviceNeighbors("interface 7", "failed", True, 1),
        DeviceNeighbors("vxlan.calico", "permanent", False, 1),
    ]


def test_another_tree_is_never_mixed_with_this_kernel() -> None:
    with pytest.raises(Unavailable, match="not its /proc"):
        source.collect(Host(procfs=TESTDATA / "near" / "proc"))


def test_a_kernel_without_tables_is_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "dump", lambda *_, **__: [])

    with pytest.raises(Unavailable, match="sandbox"):
        source.read()
