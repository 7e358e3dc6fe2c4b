"""This host's container runtime: its command line and its files."""

import json
import re

from msgspec.structs import replace

from k8sdiag.facts.runtime import HostRuntime, Runtime
from k8sdiag.model import Unavailable
from k8sdiag.pulls import runtimes
from k8sdiag.readers import gobuild
from k8sdiag.readers.host import Absent, Host
from k8sdiag.readers.processes import Process
from k8sdiag.sources import _containerd, _crio, _docker
from k8sdiag.sources._process import contained, flag, mend, root_of
from k8sdiag.sources._runtime_files import in_folder, optional, registries, toml, with_imports

KEEP_SECONDS = 60.0  # files that change when a node is set up anew

# The kubelet talks to one of them; which one, where several run, in this order.
_KINDS = {"crio": "cri-o", "cri-dockerd": "docker", "containerd": "containerd"}
# A second containerd that runs no pods: Docker's own, and that of Talos for its services.
_OTHERS = ("/docker/containerd", "/system/")
_CERTS = "/etc/containerd/certs.d"
_PACKAGES = {"containerd": ("containerd.io", "containerd"), "crio": ("cri-o",)}
_UNKNOWN = "its version, which decides what its settings mean, is unknown: run as root"


def collect(host: Host) -> HostRuntime:
    """Raises Unavailable where the processes, or a file of the runtime, can't be seen."""
    among = [p for p in host.processes(*_KINDS) if not _is_other(p)]
    order = list(_KINDS)
    process = min(
        among, key=lambda p: (contained(host, p), order.index(p.name), p.pid), default=None
    )
    if process is None:
        return HostRuntime(node=host.name, provenance="no container runtime of a kubelet runs")
    unseen = {}
    # Docker runs its containers by a containerd.
    own = {process.name, "containerd"} if process.name == "cri-dockerd" else {process.name}
    beside = sorted({p.name for p in among if not contained(host, p)} - own)
    if beside:
        why = f"{process.name} was judged, {beside[0]} runs too"
        unseen["which runtime the kubelet uses"] = why
    root = root_of(host, process)
    version = _version(host, root, process)
    read = {"crio": _read_crio, "cri-dockerd": _read_docker, "containerd": _read_containerd}
    runtime, wrong = read[process.name](host, root, process, version)
    release = runtimes.release(version)
    if release is None and (process.name != "crio" or runtime.progress_timeout_seconds is None):
        unseen[f"{process.name} of node/{host.name}"] = _UNKNOWN
    return HostRuntime(
        node=host.name,
        runtime=runtime,
        unseen=unseen | wrong,
        provenance=", ".join(dict.fromkeys(runtime.sources.values())),
    )


_Read = tuple[Runtime, dict[str, str]]


def _is_other(process: Process) -> bool:
    places = (flag(process, ("address", "a")), flag(process, ("config", "c")))
    return any(other in place for place in places if place for other in _OTHERS)


def _read_containerd(host: Host, root: str, process: Process, version: str) -> _Read:
    path = flag(process, ("config", "c")) or "/etc/containerd/config.toml"
    try:
        files = with_imports(host, root, path)
    except Absent:
        if host.has(root + path):
            raise
        files = []  # it runs on its defaults
    release = runtimes.release(version)
    if release is None:
        return Runtime(name="containerd"), {}
    found, wrong = _containerd.effective(files, version, release)
    unread = () if found.config_path else registries(host, root, _CERTS)
    return replace(found, unread_hosts=unread), wrong


def _read_crio(host: Host, root: str, process: Process, version: str) -> _Read:
    file = flag(process, ("config", "c"))
    folder = flag(process, ("config-dir", "d"))
    # Without a flag the file may be missing; an empty name is no file, and no folder.
    files = optional(host, root, "/etc/crio/crio.conf") if file is None else []
    files += [toml(host, root, file)] if file else []
    if folder != "":
        files += in_folder(host, root, folder or "/etc/crio/crio.conf.d")
    given = flag(process, ("pull-progress-timeout",))
    return _crio.effective(files, given, version, runtimes.release(version))


def _read_docker(host: Host, root: str, process: Process, version: str) -> _Read:
    daemon = next(iter(host.processes("dockerd")), None)
    named = flag(daemon, ("config-file",)) if daemon else None
    file = "/etc/docker/daemon.json" if named is None else named
    try:
        values = json.loads(host.read(root + file)) if file else {}
    except ValueError as error:
        raise Unavailable(f"{file}: not JSON") from error
    except Unavailable as error:
        if named is not None or not isinstance(error, Absent):
            raise Unavailable(mend(error)) from error
        values = {}
    if not isinstance(values, dict):
        raise Unavailable(f"{file}: no JSON object")
    return _docker.effective(
        flag(process, (_docker.DEADLINE_FLAG,)),
        flag(daemon, (_docker.DOWNLOADS_KEY,)) if daemon else None,
        values,
        file,
        version,
        runtimes.release(version),
    )


def _version(host: Host, root: str, process: Process) -> str:
    """By its program's own file, by what it wrote down, or by the package that it is of."""
    told = gobuild.version(host.path(f"/proc/{process.pid}/exe"), process.name)
    if not told and process.name == "crio":
        told = _crio.written_version(host, root)
    if told or not process.arguments[:1] or not process.arguments[0].startswith("/usr/bin/"):
        return told
    try:
        database = host.read(f"{root}/var/lib/dpkg/status")
    except Unavailable:
        return ""
    for package in _PACKAGES.get(process.name, ()):
        entry = re.search(
            rf"^Package: {re.escape(package)}\nStatus: \S+ \S+ installed\n(?:.+\n)*?"
            r"Version: (?:\d+:)?(\d+\.\d+\.\d+)",
            database,
            re.MULTILINE,
        )
        if entry:
            return entry[1]
    return ""
