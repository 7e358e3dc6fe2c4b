"""Record what this kernel says of its limits, idle and under load, for tests that need neither.

.venv/bin/python -m tests.real.record_kernel     (root; writes tests/testdata/kernel)
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.real import kernelload, netns
from tests.real.netns import Namespace

FOLDER = Path(__file__).parents[1] / "testdata" / "kernel"
CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
GLOBAL = (
    "loadavg",
    "net/softnet_stat",
    "net/stat/arp_cache",
    "net/stat/nf_conntrack",
    "sys/fs/file-nr",
    "sys/fs/inotify/max_user_instances",
    "sys/fs/inotify/max_user_watches",
    "sys/kernel/pid_max",
    "sys/kernel/threads-max",
    "sys/net/core/somaxconn",
    "sys/net/netfilter/nf_conntrack_count",
    "sys/net/netfilter/nf_conntrack_max",
)
OF_NAMESPACE = (
    "net/netstat",
    "net/sockstat",
    "net/sockstat6",
    "net/tcp",
    "net/tcp6",
    "sys/net/ipv4/ip_local_port_range",
)


def record(case: str, namespace: Namespace, process: int) -> None:
    """Files of the initial namespace; those of `namespace` play the node's own network."""
    for path in GLOBAL:
        _write(case, path, Path("/proc", path).read_text())
    for path in OF_NAMESPACE:
        _write(case, path, namespace.run("cat", f"/proc/{path}"))
    here, links = Path(f"/proc/{process}"), ""
    for link in sorted((here / "fd").iterdir()):
        target = str(link.readlink())
        if target == "anon_inode:inotify":
            info = (here / "fdinfo" / link.name).read_text()
            _write(case, f"1234/fdinfo/{link.name}", info)
        if not target.startswith("/"):
            links += f"{link.name} {target}\n"
    # A package can't hold links that lead nowhere: the tests make them.
    _write(case, "1234/fd.links", links)
    status = (here / "status").read_text().splitlines()
    _write(case, "1234/status", "\n".join(s for s in status if s.startswith("Uid:")) + "\n")


def _write(case: str, path: str, text: str) -> None:
    file = FOLDER / case / "proc" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def main() -> None:
    for case in ("idle", "busy"):
        shutil.rmtree(FOLDER / case, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work, ExitStack() as load:
        namespace = load.enter_context(netns.made(Path(work)))
        with kernelload.watching(1000, 3, 5) as (process, _):
            record("idle", namespace, process)
        namespace.run("sh", "-c", "echo 40000 40199 > /proc/sys/net/ipv4/ip_local_port_range")
        load.enter_context(
            kernelload.lowered(Path("/proc/sys/net/netfilter/nf_conntrack_max"), 300)
        )
        load.enter_context(kernelload.tracked(310))
        load.enter_context(kernelload.overflowing(namespace))
        load.enter_context(kernelload.connected(namespace, 150))
        process, _ = load.enter_context(kernelload.watching(1000, 6, 20))
        record("busy", namespace, process)


if __name__ == "__main__":
    main()
