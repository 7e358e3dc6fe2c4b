"""A real kubelet with a real containerd: a node of its own beside this host.

It lives in a network namespace, because the API server proxies to no loopback address, and in a
mount namespace where a folder of the test stands for each place that a kubelet or containerd
writes to: sysctls, /etc, /opt, /run, /usr/libexec, /var and the roots of the cgroups. So only
the cgroups have to be taken away afterwards. It runs no pods: no image, no network plugin.
"""

import itertools
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real import netns
from tests.real.apiserver import ApiServer
from tests.real.bed import Process, StartError, program, running, scratch
from tests.real.components import MissingError
from tests.real.netns import Namespace

WRITTEN = ("etc", "opt", "run", "usr/libexec", "var/lib", "var/log")
READ = ("group", "hosts", "nsswitch.conf", "os-release", "passwd", "resolv.conf")  # of /etc
SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
# What a kubelet needs to run here; all else is its default unless the test says otherwise.
SETTINGS = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"x509": {"clientCAFile": "/var/lib/kubelet/pki/ca.crt"}},
    "cgroupDriver": "cgroupfs",
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "failCgroupV1": False,
    "tlsCertFile": "/var/lib/kubelet/pki/kubelet.crt",
    "tlsPrivateKeyFile": "/var/lib/kubelet/pki/kubelet.key",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Kubelet:
    """A running kubelet, registered at the API server (NotReady: it has no network plugin)."""

    node: str
    address: str
    namespace: Namespace
    pid: int
    log: Path
    root: Path  # what it sees as /: /var/lib/kubelet/config.yaml is root / "var/lib/..."

    @property
    def proxy_path(self) -> str:
        """The path at the API server under which the kubelet answers: + "/configz", "/metrics"."""
        return f"/api/v1/nodes/{self.node}/proxy"


@contextmanager
def started(
    folder: Path,
    api: ApiServer,
    settings: Mapping[str, object] | None = None,
    *,
    containerd: str = "containerd-2",
    extra_args: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Iterator[Kubelet]:
    """A kubelet with these settings (KubeletConfiguration) that answers through the API server.

    `files` are further ones of the node, by their path on it, below one of the places above.
    `containerd` is the component to run beside it: "containerd-2", or "containerd" for Debian's.
    Raises MissingError where a kubelet can't run, with its last words.
    """
    node = f"node-{os.getpid()}-{next(_numbers)}"
    programs = [program(name) for name in (containerd, "containerd-shim-runc-v2", "runc")]
    path = {"PATH": ":".join([*(str(p.parent) for p in programs), os.environ["PATH"]])}
    named = folder / "bin" / "containerd"  # its name among the processes, whatever the component's
    named.parent.mkdir()
    named.symlink_to(programs[0])
    with ExitStack() as stack:
        namespace = stack.enter_context(netns.made(folder, cable=True))
        root = stack.enter_context(scratch(folder / "node"))
        cgroups = stack.enter_context(_cgroups(node))
        _furnish(root, api, node, namespace, {**SETTINGS, **(settings or {})})
        for name, text in (files or {}).items():
            file = root / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        try:
            holder = _mounted(stack, folder, root, namespace, cgroups)
            target = f"--target={holder.pid}"
            enter: list[str | Path] = ["nsenter", target, "--mount", "--net", "--"]
            runtime = stack.enter_context(running(containerd, [*enter, named], folder, path))
            runtime.await_ready((root / "run/containerd/containerd.sock").exists)

            command = [*enter, program("kubelet"), "--config=/var/lib/kubelet/config.yaml"]
            command += ["--kubeconfig=/var/lib/kubelet/kubeconfig", f"--hostname-override={node}"]
            command += [f"--node-ip={namespace.address}", *extra_args]
            stack.callback(_forget, api, node)
            process = stack.enter_context(running("kubelet", command, folder, path))
            kubelet = Kubelet(node, namespace.address, namespace, process.pid, process.log, root)
            healthz = f"{kubelet.proxy_path}/healthz"
            process.await_ready(lambda: api.admin.raw("GET", healthz)[0] == 200)
        except StartError as error:
            # A test bed's machine may lack what a kubelet asks of it: that is no failed test.
            words = str(error).splitlines()
            raise MissingError(f"no kubelet runs here: {words[0]} {words[-1]}") from error
        yield kubelet


def _furnish(
    root: Path, api: ApiServer, node: str, namespace: Namespace, settings: Mapping[str, object]
) -> None:
    """Lay out the node's files under its root."""
    for place in WRITTEN:
        (root / place).mkdir(parents=True)
    for name in READ:
        if (source := Path("/etc", name)).exists():
            shutil.copyfile(source, root / "etc" / name)
    (root / "etc/machine-id").write_text("0" * 32 + "\n")
    for name in SYSCTLS:
        copy = root / "proc/sys" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(Path("/proc/sys", name).read_text())
    user, groups = f"system:node:{node}", ["system:nodes"]
    pair = api.authority.issue(user, organizations=groups, hosts=[namespace.address], file=node)
    kubeconfig = api.kubeconfig(
        user,
        groups,
        pair=pair,
        server=f"https://{namespace.host_address}:{api.port}",
        server_name="localhost",
    )
    home = root / "var/lib/kubelet"
    (home / "pki").mkdir(parents=True)
    shutil.copyfile(api.ca, home / "pki/ca.crt")
    shutil.copyfile(pair.cert, home / "pki/kubelet.crt")
    shutil.copyfile(pair.key, home / "pki/kubelet.key")
    shutil.copyfile(kubeconfig, home / "kubeconfig")
    (home / "config.yaml").write_text(json.dumps(settings, indent=2))


def _mounted(
    stack: ExitStack, folder: Path, root: Path, namespace: Namespace, cgroups: Sequence[Path]
) -> Process:
    """The process that holds the mount namespace, once everything is mounted."""
    pairs = [(root / place, Path("/", place)) for place in WRITTEN]
    pairs += [(root / "proc/sys" / name, Path("/proc/sys", name)) for name in SYSCTLS]
    pairs += [(own, own.parent) for own in cgroups]
    script = "set -e\n" + "".join(
        f"mount --bind {shlex.quote(str(source))} {target}\n" for source, target in pairs
    )
    script += "touch /run/mounted\nexec sleep infinity\n"
    command = namespace.command("unshare", "--mount", "--propagation=private", "sh", "-c", script)
    holder = stack.enter_context(running("mounts", command, folder))
    holder.await_ready((root / "run/mounted").exists)
    return holder


@contextmanager
def _cgroups(node: str) -> Iterator[list[Path]]:
    """A cgroup of our own in each hierarchy (one with v2), removed with all below it."""
    top = Path("/sys/fs/cgroup")
    hierarchies = [top] if (top / "cgroup.procs").exists() else sorted(top.iterdir())
    own = [each / f"k8sdiag-{node}" for each in hierarchies if not each.is_symlink()]
    for hierarchy in hierarchies:
        for left in hierarchy.glob("k8sdiag-node-*"):  # by a run that was killed
            if not Path("/proc", left.name.split("-")[2]).exists():
                _remove(left)
    try:
        for cgroup in own:
            try:
                cgroup.mkdir()
            except OSError as error:
                raise MissingError(
                    f"no kubelet runs here: no cgroup can be made: {error}"
                ) from error
            for file in ("cpuset.cpus", "cpuset.mems"):  # with v1 empty, and then useless
                if (cgroup.parent / file).exists():
                    (cgroup / file).write_text((cgroup.parent / file).read_text())
        yield own
    finally:
        for cgroup in own:
            _remove(cgroup)


def _remove(cgroup: Path) -> None:
    for below, _, _ in os.walk(cgroup, topdown=False):
        Path(below).rmdir()


def _forget(api: ApiServer, node: str) -> None:
    """Take away what the kubelet registered; what it did not get to register is no matter."""
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    for collection in ("/api/v1/nodes", leases, "/apis/storage.k8s.io/v1/csinodes"):
        api.admin.raw("DELETE", f"{collection}/{node}")
    # Its static pods have mirrors that nobody else takes away.
    on_it = f"fieldSelector=spec.nodeName={node}"
    for pod in api.admin.get(f"/api/v1/pods?{on_it}")["items"]:
        at, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        api.admin.raw("DELETE", f"/api/v1/namespaces/{at}/pods/{name}?gracePeriodSeconds=0")
