"""A folder that stands for a host which runs one program or another."""

from pathlib import Path

from k8sdiag.facts.runtime import HostRuntime
from k8sdiag.readers.host import Host
from k8sdiag.sources.runtime_host import collect


def lay_out(tree: Path) -> Path:
    """A host that runs nothing of Kubernetes, whose name is node-1."""
    write(tree, "proc/sys/kernel/hostname", "node-1\n")
    write(tree, "proc/stat", "btime 1700000000\n")
    run(tree, "systemd", pid=1)
    return tree


def run(tree: Path, name: str, *arguments: str, pid: int = 812) -> None:
    """A process as /proc tells it (proc_pid_stat(5))."""
    folder = tree / f"proc/{pid}"
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S 1 {pid} {pid} 0 -1 " + "0 " * 45 + "\n")
    (folder / "status").write_text(f"Name:\t{name}\n")
    words = (f"/usr/bin/{name}", *arguments)
    (folder / "cmdline").write_bytes(b"".join(a.encode() + b"\0" for a in words))


def write(tree: Path, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


def look(tree: Path) -> HostRuntime:
    return collect(Host(procfs=tree / "proc", rootfs=tree))
