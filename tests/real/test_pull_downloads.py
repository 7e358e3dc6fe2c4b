"""What a real node's containerd was told, in the forecast of that node at a real API server."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from k8sdiag.pulls.downloads import KnownDownloads, by_default
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import kubelet_host, nodes, runtime_host
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.kubelet import Kubelet

CONFIG = """version = 3
[plugins."io.containerd.transfer.v1.local"]
  max_concurrent_downloads = 20
  concurrent_layer_fetch_buffer = 8388608
"""


def test_the_downloads_of_a_node_are_those_of_its_containerd(
    start_kubelet: Callable[..., Kubelet], api_server: ApiServer, tmp_path: Path
) -> None:
    kubelet = start_kubelet(files={"/etc/containerd/config.toml": CONFIG})
    host = with_processes(tmp_path, kubelet.pid, containerd_beside(kubelet.pid))

    with closing(Kubernetes.open(api_server.kubeconfig("reads", [ADMINS]))) as reader:
        cluster = nodes.collect(reader)
    known = KnownDownloads(cluster, kubelet_host.collect(host), runtime_host.collect(host))

    (node,) = (n for n in cluster.nodes if n.name == kubelet.node)
    found = known.of(node)
    assert by_default(node).words == "3 downloads at once per node"
    assert found.words == (
        f"20 downloads at once per node (/etc/containerd/config.toml of {node.name})"
    )
    assert (found.in_parts, found.settable) == (True, True)


def with_processes(folder: Path, *pids: int) -> Host:
    """This machine with these processes beside init: others may run kubelets here as well."""
    proc = folder / "proc"
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "sys/kernel/hostname").write_text("bed")
    for name in ("stat", "1", *map(str, pids)):
        (proc / name).symlink_to(f"/proc/{name}")
    return Host(procfs=proc, rootfs=Path("/"))


def containerd_beside(pid: int) -> int:
    """The one that sees the same files."""
    mounts = Path(f"/proc/{pid}/ns/mnt")
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text() == "containerd\n" and mounts.samefile(comm.parent / "ns/mnt"):
                return int(comm.parent.name)
        except OSError:
            continue  # it ended meanwhile
    raise AssertionError("no containerd runs beside the kubelet")
