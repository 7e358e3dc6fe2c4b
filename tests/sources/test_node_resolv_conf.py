"""With trees that stand for hosts."""

from pathlib import Path

import pytest

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.sources import node_resolv_conf

STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n"
REAL = "nameserver 192.168.0.2\nsearch corp.example\n"


def host(root: Path, **files: str) -> Host:
    """A host without processes; `config` is its kubelet's file."""
    places = {
        "config": "var/lib/kubelet/config.yaml",
        "flags": "var/lib/kubelet/kubeadm-flags.env",
        "etc": "etc/resolv.conf",
        "resolved": "run/systemd/resolve/resolv.conf",
    }
    (root / "proc").mkdir()
    for name, text in files.items():
        path = root / places[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host(procfs=root / "proc", rootfs=root)


def collect(root: Path, **files: str) -> NodeResolvConf:
    return node_resolv_conf.collect(host(root, **files))


def config(**fields: str) -> str:
    lines = (f"{name}: {value}\n" for name, value in fields.items())
    return "kind: KubeletConfiguration\n" + "".join(lines)


def test_a_workstation_s_file_is_no_node_s(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no kubelet runs on this host"):
        collect(tmp_path, etc=REAL)


def test_the_default_is_the_host_s_own(tmp_path: Path) -> None:
    found = collect(tmp_path, config=config(), etc=REAL)

    assert found.path == "/etc/resolv.conf"
    assert (found.nameservers, found.searches) == (("192.168.0.2",), ("corp.example",))
    assert "resolvConf by default" in found.provenance


def test_what_the_kubelet_is_told_counts(tmp_path: Path) -> None:
    told = config(resolvConf="/run/systemd/resolve/resolv.conf")

    found = collect(tmp_path, config=told, etc=STUB, resolved=REAL)

    assert found.path == "/run/systemd/resolve/resolv.conf"
    assert found.nameservers == ("192.168.0.2",)


def test_none_is_a_setting_of_its_own(tmp_path: Path) -> None:
    assert collect(tmp_path, config=config(resolvConf='""'), etc=REAL).path == ""


def test_of_an_unreadable_setting_the_stub_is_not_believed(tmp_path: Path) -> None:
    found = collect(tmp_path, config="KubeletConfiguration: {", etc=STUB, resolved=REAL)

    assert found.nameservers == ("192.168.0.2",)
    assert "assumed" in found.provenance


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"resolv\.conf does not exist"):
        collect(tmp_path, config=config())
