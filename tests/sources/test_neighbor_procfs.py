"""The files of a tree, as recorded and as other kernels write them."""

import shutil
from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.sources._stat import per_cpu
from k8sdiag.sources.neighbor_procfs import collect

RECORDED = Path(__file__).parents[1] / "testdata" / "neighbor"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A recorded tree that a test may change."""
    return Path(shutil.copytree(RECORDED / "near", tmp_path / "near")) / "proc"


def test_entries_are_read_once_and_counters_summed_over_the_cpus() -> None:
    four, six = collect(Host(procfs=RECORDED / "overflow" / "proc")).tables

    assert (four.family, four.entries, four.table_fulls, four.forced_gc_runs) == (
        "ipv4",
        1033,
        2412,
        2443,
    )
    assert (four.gc_thresh1, four.gc_thresh2, four.gc_thresh3) == (128, 512, 1024)
    assert (six.family, six.entries, six.table_fulls) == ("ipv6", 12, 7)


def test_columns_go_by_name_and_counters_may_be_wider_than_eight_digits() -> None:
    text = "forced_gc_runs entries\n1ffffffff 0000000a\n00000001 0000000a\n"

    assert per_cpu(text, "arp_cache") == [
        {"forced_gc_runs": 0x1FFFFFFFF, "entries": 10},
        {"forced_gc_runs": 1, "entries": 10},
    ]


def test_thresholds_that_are_not_there_are_unknown() -> None:
    four, _ = collect(Host(procfs=RECORDED / "pristine" / "proc")).tables

    assert (four.entries, four.gc_thresh3, four.exempt) == (2, None, None)


def test_a_kernel_that_counts_no_refusals_is_not_one_without(tree: Path) -> None:
    stat = tree / "net/stat/arp_cache"
    stat.write_text("".join(f"{row[: row.rindex(' ')]}\n" for row in stat.read_text().splitlines()))

    assert collect(Host(procfs=tree)).tables[0].table_fulls is None


def test_permanent_entries_are_counted_and_proxied_ones_are_none(tree: Path) -> None:
    with (tree / "net/arp").open("a") as arp:
        arp.write("10.9.9.1 0x1 0x6 02:00:00:00:00:01 * va\n")
        arp.write("10.9.9.2 0x1 0xc 00:00:00:00:00:00 * va\n")

    assert collect(Host(procfs=tree)).tables[0].exempt == 1


def test_a_table_too_long_to_read_row_by_row_is_not(tree: Path) -> None:
    stat = tree / "net/stat/arp_cache"
    stat.write_text(stat.read_text().replace("000003c1", "00010000"))

    four = collect(Host(procfs=tree)).tables[0]

    assert (four.entries, four.exempt) == (65_536, None)


def test_the_first_process_lives_in_the_hosts_namespace(tree: Path) -> None:
    (tree / "1/net/stat").mkdir(parents=True)
    shutil.copy(RECORDED / "overflow/proc/net/stat/arp_cache", tree / "1/net/stat")

    assert [t.entries for t in collect(Host(procfs=tree)).tables] == [1033, 12]


def test_a_kernel_without_ipv6_has_one_table_and_no_gap(tree: Path) -> None:
    (tree / "net/stat/ndisc_cache").unlink()
    shutil.rmtree(tree / "sys/net/ipv6")
    fact = collect(Host(procfs=tree))

    assert [t.family for t in fact.tables] == ["ipv4"]
    assert fact.gaps == {}


def test_an_ipv6_table_that_should_be_there_is_a_gap(tree: Path) -> None:
    (tree / "net/stat/ndisc_cache").unlink()
    fact = collect(Host(procfs=tree))

    assert [t.family for t in fact.tables] == ["ipv4"]
    assert "hostNetwork" in fact.gaps["ipv6 neighbor table"]


def test_files_do_not_tell_neighbors_by_device(tree: Path) -> None:
    assert "netlink" in collect(Host(procfs=tree, neighbors=True)).gaps["neighbors by device"]


def test_a_damaged_file_costs_its_own_family(tree: Path) -> None:
    (tree / "net/stat/ndisc_cache").write_text("entries table_fulls\n0000000a\n")
    fact = collect(Host(procfs=tree))

    assert [t.family for t in fact.tables] == ["ipv4"]
    assert "not as the kernel writes it" in fact.gaps["ipv6 neighbor table"]


@pytest.mark.parametrize("text", ["", "entries\n", "entries\nxyz\n", "allocs\n00000001\n"])
def test_a_damaged_file_is_never_an_empty_table(text: str) -> None:
    with pytest.raises(Unavailable, match="not as the kernel writes it"):
        per_cpu(text, "arp_cache")


def test_a_tree_without_tables_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="hostNetwork"):
        collect(Host(procfs=tmp_path))
