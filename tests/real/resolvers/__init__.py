"""Command lines that look up one name: with this machine's glibc, with musl, with Go."""

import gzip
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.real.bed import need_program, program
from tests.real.components import MissingError

SOURCES = Path(__file__).parent
ARGUMENTS = ["{family}", "{name}"]


def go(folder: Path) -> list[str]:
    need_program("go", "Go (https://go.dev/dl)")
    made = folder / "lookup-go"
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "", "GO111MODULE": "off"}
    _build(["go", "build", "-o", made, SOURCES / "lookup.go"], env)
    return [str(made), *ARGUMENTS]


def musl(folder: Path) -> tuple[str, list[str]]:
    """Which of the model's resolvers it is, and the program, linked statically."""
    need_program("gcc", "gcc")
    libc = program("musl").resolve()
    root = libc.parents[3]
    headers = root / "usr/include" / libc.parent.name
    made = folder / "lookup-musl"
    parts: list[str | Path] = [
        libc.parent / "crt1.o",
        libc.parent / "crti.o",
        SOURCES / "lookup.c",
        libc,
        "-lgcc",
    ]
    flags: list[str | Path] = ["-static", "-nostdinc", "-isystem", headers, "-nostdlib", "-o", made]
    _build(["gcc", *flags, *parts, libc.parent / "crtn.o"], None)
    with gzip.open(root / "usr/share/doc/musl-dev/changelog.Debian.gz", "rt") as log:
        version = re.match(r"musl \(1\.2\.(\d+)", log.readline())
    if version is None:
        raise MissingError(f"the musl in {root} is no 1.2: the model knows no other")
    return ("musl" if int(version[1]) >= 4 else "musl-1.2.3"), [str(made), *ARGUMENTS]


def _build(command: Sequence[str | Path], env: dict[str, str] | None) -> None:
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MissingError(f"`{' '.join(map(str, command[:2]))}` failed: {done.stderr.strip()}")


def glibc(folder: Path) -> list[str]:
    _need_glibc()
    need_program("gcc", "gcc")
    made = folder / "lookup-glibc"
    _build(["gcc", "-o", made, SOURCES / "lookup.c"], None)
    return [str(made), *ARGUMENTS]


def getent() -> list[str]:
    """For AF_UNSPEC alone: for one family it finds nothing where only a loopback has it."""
    _need_glibc()
    need_program("getent", "libc-bin")
    return [str(shutil.which("getent")), "ahosts", "{name}"]


def _need_glibc() -> None:
    if platform.libc_ver()[0] != "glibc":
        raise MissingError("the C library of this machine is not glibc")
