"""This host, or another tree: never a mixture of both."""

from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("0.1 0.1 0.1 1/200 1\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("node-7\n")
    return tmp_path


def test_a_tree_by_its_root_has_its_proc_inside(tree: Path) -> None:
    host = Host(rootfs=tree)

    assert host.read("/proc/loadavg") == "0.1 0.1 0.1 1/200 1\n"
    assert (host.subject, host.live, host.own_kernel) == ("node/node-7", False, False)


@pytest.mark.parametrize("root", [None, Path("/")], ids=["nothing else", "our own root"])
def test_a_tree_by_its_proc_has_no_other_files(tree: Path, root: Path | None) -> None:
    host = Host(tree / "proc", root)

    with pytest.raises(Unavailable, match=r"--path\.rootfs") as raised:
        host.read("/etc/hostname")
    assert not isinstance(raised.value, Absent)  # "there is none" would be an answer


@pytest.mark.parametrize("paths", [(), (Path("/proc"), Path("/")), (None, Path("/"))])
def test_this_host(paths: tuple[Path | None, ...]) -> None:
    host = Host(*paths)

    assert (host.live, host.own_kernel) == (True, True)
    assert host.read("/proc/loadavg")


def test_a_pod_is_told_the_name_of_its_node(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    monkeypatch.setenv("NODE_NAME", "ip-10-0-0-7")

    assert Host().name == "ip-10-0-0-7"
    assert Host(rootfs=tree).name == "node-7"  # a recorded tree is another host


def test_what_is_not_there_is_an_answer_of_its_own(tree: Path) -> None:
    with pytest.raises(Absent):
        Host(rootfs=tree).read("/etc/nothing")


@pytest.mark.parametrize(
    ("links", "content"),
    [
        pytest.param({"etc/a": "/etc/hostname"}, "node-7\n", id="absolute"),
        pytest.param({"etc/a": "../etc/hostname"}, "node-7\n", id="relative"),
        pytest.param({"etc/a": "../../../../../etc/hostname"}, "node-7\n", id="over the top"),
        pytest.param({"b": "/etc", "etc/a": "/b/hostname"}, "node-7\n", id="two links"),
        pytest.param({"etc/a": "/dev/null"}, "", id="switched off"),
    ],
)
def test_links_stay_in_the_tree(tree: Path, links: dict[str, str], content: str) -> None:
    for name, target in links.items():
        (tree / name).symlink_to(target)

    assert Host(rootfs=tree).read("/etc/a") == content


@pytest.mark.parametrize("target", ["/etc/nothing", "/etc/a", "/etc/passwd"])
def test_a_link_that_leads_nowhere_is_not_a_file_that_is_not_there(tree: Path, target: str) -> None:
    (tree / "etc/a").symlink_to(target)

    with pytest.raises(Unavailable, match=f"a is a link to {target}") as raised:
        Host(rootfs=tree).read("/etc/a")
    assert not isinstance(raised.value, Absent)


def test_a_pod_s_proc_does_not_show_the_node_s_network(tree: Path) -> None:
    host = Host(rootfs=tree)

    assert not host.own_network
    with pytest.raises(Unavailable, match="hostNetwork"):
        _ = host.network


@pytest.mark.parametrize("folder", ["1/net", "net"])
def test_the_file_that_only_the_first_network_namespace_has(tree: Path, folder: str) -> None:
    (tree / f"proc/{folder}/stat").mkdir(parents=True)
    (tree / f"proc/{folder}/stat/arp_cache").touch()

    assert Host(rootfs=tree).network == f"/proc/{folder}"
