"""sysctl.d as systemd reads it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from k8sdiag.facts.neighbor import BootValue
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.sources.neighbor_boot import collect, parse

KEY = "net.ipv4.neigh.default.gc_thresh3"


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def boot(root: Path) -> tuple[int, str]:
    value = collect(Host(rootfs=root)).values[KEY]
    return value.value, value.file


def test_the_last_file_by_name_wins_whatever_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/sysctl.d/99-vendor.conf", f"{KEY} = 16384\n")
    write(tmp_path, "etc/sysctl.d/10-ours.conf", f"{KEY} = 4096\n")

    assert boot(tmp_path) == (16_384, "/usr/lib/sysctl.d/99-vendor.conf")


def test_a_file_hides_its_namesake(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/sysctl.d/50-net.conf", f"{KEY} = 16384\n")
    write(tmp_path, "etc/sysctl.d/50-net.conf", "# nothing\n")

    assert collect(Host(rootfs=tmp_path)).values == {}


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "etc/sysctl.d/10-ours.conf", f"{KEY} = 4096\n")
    write(tmp_path, "usr/lib/sysctl.d/99-vendor.conf", f"{KEY} = 16384\n")
    (tmp_path / "etc/sysctl.d/20-hidden.conf").symlink_to("/nix/store/hidden.conf")
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:  # root is never refused
        if folder == tmp_path / "usr/lib/sysctl.d":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    fact = collect(Host(rootfs=tmp_path))

    assert fact.values[KEY].value == 4096
    assert "Permission denied" in fact.gaps["/usr/lib/sysctl.d"]
    assert "is a link to /nix/store/hidden.conf" in fact.gaps["/etc/sysctl.d/20-hidden.conf"]


def test_links_lead_where_they_would_on_that_host(tmp_path: Path) -> None:
    """As NixOS lays them out: every file of /etc is an absolute link."""
    write(tmp_path, "nix/store/60-nixos.conf", f"{KEY} = 8192\n")
    write(tmp_path, "usr/lib/sysctl.d/50-off.conf", f"{KEY} = 16384\n")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/60-nixos.conf").symlink_to("/nix/store/60-nixos.conf")
    (tmp_path / "etc/sysctl.d/50-off.conf").symlink_to("/dev/null")

    fact = collect(Host(rootfs=tmp_path))

    assert fact.values == {KEY: BootValue(8192, "/etc/sysctl.d/60-nixos.conf")}
    assert fact.gaps == {}


def test_tuned_is_told_of(tmp_path: Path) -> None:
    write(tmp_path, "etc/sysctl.d/a.conf", "")
    write(tmp_path, "etc/tuned/active_profile", "openshift-node\n")

    assert collect(Host(rootfs=tmp_path)).others == "tuned"


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (f"{KEY}=8192", {KEY: 8192}),
        (f"  -{KEY} =  8192  ", {KEY: 8192}),
        ("net/ipv4/neigh/default/gc_thresh3 = 8192", {KEY: 8192}),
        (f"# {KEY} = 8192", {}),
        (f"; {KEY} = 8192", {}),
        (f"{KEY} = many", {}),
        ("net.ipv4.neigh.eth0.gc_stale_time = 60", {}),
        (f"{KEY} = 1\n{KEY} = 2", {KEY: 2}),
        ("net.ipv4.neigh.*.gc_thresh3 = 8192", {KEY: 8192}),
    ],
)
def test_a_line(line: str, values: dict[str, int]) -> None:
    assert parse(line) == values


def test_a_host_without_sysctl_d_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no sysctl\.d"):
        collect(Host(rootfs=tmp_path))


def test_the_files_of_a_pod_are_not_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    with pytest.raises(Unavailable, match=r"--path\.rootfs"):
        collect(Host())


def test_a_recorded_proc_has_no_files_of_this_host(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"--path\.rootfs"):
        collect(Host(procfs=tmp_path))
