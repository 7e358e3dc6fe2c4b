"""What is no Go program, or a broken one; real ones are in tests/real/test_containerd_config.py."""

import struct
import sys
from pathlib import Path

import pytest

from k8sdiag.readers.gobuild import version

INFO = "path\tx/cmd/containerd\nmod\tx\t(devel)\t\n"
FLAGS = (
    'build\t-ldflags="-X github.com/k3s-io/k3s/pkg/version.Version=v1.33.4+k3s1 '
    '-X \\"github.com/k3s-io/containerd/v2/version.Version=v2.1.4-k3s1\\" -s -w"\n'
)


def program(folder: Path, info: str) -> Path:
    """An ELF file with nothing but Go's build information."""
    text = b"\0" * 16 + info.encode() + b"\0" * 16
    length = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    built = b"\xff Go buildinf:\x08\x02".ljust(32, b"\0") + b"\x08go1.26.8" + length + text
    names = b"\0.go.buildinfo\0.shstrtab\0"
    at = 64 + 3 * 64
    rows = [(0, 0, 0), (1, at, len(built)), (15, at + len(built), len(names))]
    head = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", 64)
    head = head.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, 3, 2)
    table = b"".join(struct.pack("<IIQQQQ", n, 1, 0, 0, o, s).ljust(64, b"\0") for n, o, s in rows)
    path = folder / "containerd"
    path.write_bytes(head + table + built + names)
    return path


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        pytest.param(INFO, "", id="a build that does not tell"),
        pytest.param(INFO + FLAGS, "2.1.4-k3s1", id="what the linker was told of this program"),
        pytest.param("mod\tx\tv2.3.7\th1:x\n", "2.3.7", id="the module's version"),
        pytest.param("mod\tx\tv0.0.0-20260101000000-abcdef\n", "", id="no release"),
    ],
)
def test_versions(tmp_path: Path, info: str, expected: str) -> None:
    assert version(program(tmp_path, info), "containerd") == expected


def test_what_is_cut_off_tells_nothing(tmp_path: Path) -> None:
    whole = program(tmp_path, INFO + FLAGS).read_bytes()
    for length in range(0, len(whole) - len("\0.shstrtab\0"), 7):
        (tmp_path / "cut").write_bytes(whole[:length])
        assert version(tmp_path / "cut", "containerd") == ""


def test_what_is_no_go_program_tells_nothing(tmp_path: Path) -> None:
    assert version(Path(sys.executable), "containerd") == ""
    assert version(tmp_path / "missing", "containerd") == ""
    assert version(tmp_path, "containerd") == ""
