"""The version of a Go program, read from its file: what `go version -m` prints.

The format is that of Go's debug/buildinfo package, of programs built with Go 1.18 or later.
"""

import re
import struct
from pathlib import Path

_MOST_BYTES = 2**20  # of the section; a large program's has 50 kB
_MAGIC = b"\xff Go buildinf:"
_INLINE = 2  # a flag: the strings follow, as since Go 1.18


def version(path: Path, name: str) -> str:
    """The version of the program `name`, "2.3.7"; "" where its file does not tell it.

    What the linker was told (-X .../version.Version) comes before the version of the module,
    which is "(devel)" in most builds. A build with -trimpath keeps only the latter.
    """
    try:
        text = _module_info(path)
    except (OSError, ValueError, struct.error):
        return ""
    told = re.findall(r"-X[ =]\W*(\S+?)/version\.Version=([\w.+-]+)", text)
    # k3s is several programs in one, each with a version of its own.
    found = [value for package, value in told if name in package]
    found += re.findall(r"^mod\t\S+\t(\S+)", text, re.MULTILINE)
    return next((v.removeprefix("v") for v in found if re.match(r"v?[1-9]\d*\.\d+\.\d+", v)), "")


def _module_info(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
            return ""
        (sections,) = struct.unpack_from("<Q", header, 0x28)
        size, count, names = struct.unpack_from("<HHH", header, 0x3A)
        file.seek(sections)
        table = file.read(size * count)
        rows = [struct.unpack_from("<IIQQQQ", table, size * i) for i in range(count)]
        file.seek(rows[names][4])
        strings = file.read(rows[names][5])
        for row in rows:
            if strings[row[0] :].startswith(b".go.buildinfo\0"):
                file.seek(row[4])
                return _second_string(file.read(min(row[5], _MOST_BYTES)))
    return ""


def _second_string(section: bytes) -> str:
    """The first one is the version of Go, the second what was built."""
    if not section.startswith(_MAGIC) or not section[15] & _INLINE:
        return ""
    length, start = _varint(section, 32)
    length, start = _varint(section, start + length)
    if start + length > len(section):
        raise ValueError("cut off")
    return section[start + 16 : start + length - 16].decode(errors="replace")  # between sentinels


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data):
            raise ValueError("cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
