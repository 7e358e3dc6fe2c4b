"""This host's kubelet: its command line, its drop-ins and its file."""

import shlex
from collections.abc import Iterator, Sequence

from msgspec import Struct

from k8sdiag.facts.kubelet import HostKubelet
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Absent, Host
from k8sdiag.readers.processes import Process
from k8sdiag.sources._kubelet import Layer, effective, flags
from k8sdiag.sources._process import contained, mend, root_of

KEEP_SECONDS = 60.0  # files that change when a node is set up anew


class _Layout(Struct, frozen=True):
    """Where a distribution keeps its kubelet's configuration."""

    config: str = ""
    dropins: str = ""
    flags: tuple[str, ...] = ()


_FLAGS = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
)
_K3S = _Layout(dropins="/var/lib/rancher/k3s/agent/etc/kubelet.conf.d")
_MICROK8S = _Layout(flags=("/var/snap/microk8s/current/args/kubelet",))
_LAYOUTS = (
    _Layout("/var/lib/kubelet/config.yaml", flags=_FLAGS),  # kubeadm
    _Layout("/etc/kubernetes/kubelet/config.json", "/etc/kubernetes/kubelet/config.json.d"),  # EKS
    _Layout("/etc/kubernetes/kubelet/kubelet-config.json"),  # EKS on Amazon Linux 2
    _Layout("/home/kubernetes/kubelet-config.yaml", flags=_FLAGS),  # GKE
    _Layout("/etc/default/kubeletconfig.json", flags=_FLAGS),  # AKS
    _Layout("/etc/kubernetes/kubelet.yaml"),  # Talos
    _Layout("/etc/kubernetes/kubelet.conf"),  # OpenShift; elsewhere it is a kubeconfig
    _Layout(dropins="/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"),
    _K3S,
    _MICROK8S,
)
# Programs with a kubelet inside, which has no command line of its own.
_EMBEDDED = {"k3s-server": _K3S, "k3s-agent": _K3S, "kubelite": _MICROK8S}


def collect(host: Host) -> HostKubelet:
    gaps: dict[str, str] = {}
    unseen = ""
    try:
        process = _process(host)
    except Unavailable as error:
        process, unseen = None, str(error)
    running = None if unseen else process is not None
    files = _EMBEDDED.get(process.name) if process else _installed(host)
    if process and not files:
        root = root_of(host, process)
        given = flags(process.arguments)
        layout = _Layout(given.get("config", ""), given.get("config-dir", ""))
    elif files:
        root = ""
        given = flags(list(_words(host, files.flags, gaps)))
        layout = _Layout(given.get("config", files.config), given.get("config-dir", files.dropins))
    else:
        return HostKubelet(node=host.name, running=running, unseen=unseen)
    if files is _K3S:
        gaps["flags of the kubelet in k3s"] = (
            "k3s hides its command line; ask the kubelet itself with --kubelet-configz=proxy"
        )
    dropins = _dropins(host, root, layout.dropins, gaps) if layout.dropins else []
    config = Layer("", {})
    if layout.config:
        config = _layer(host, root, layout.config, gaps)
    elif files is _K3S and not dropins:  # before it had drop-ins it set what it wanted by flags
        config = Layer("k3s", None)
    settings, wrong = effective(config, dropins, given)
    return HostKubelet(
        node=given.get("hostname-override") or host.name,
        running=running,
        unseen=unseen,
        settings=settings,
        gaps=gaps | wrong,
        provenance=", ".join(dict.fromkeys(settings.sources.values())),
    )


def _process(host: Host) -> Process | None:
    """The kubelet of this host itself, before one in a container (kind, Talos)."""
    found = host.processes("kubelet", *_EMBEDDED)
    return min(found, key=lambda p: (contained(host, p), p.pid), default=None)


def _installed(host: Host) -> _Layout | None:
    """Where the files of a kubelet lie that does not run, or whose process can't be seen."""
    if host.rootfs is None:
        return None
    for layout in _LAYOUTS:
        try:
            if layout.config and "KubeletConfiguration" in host.read(layout.config):
                return layout
        except Absent:
            continue
        except Unavailable:
            return layout  # it is there; that it can't be read is said later
        if not layout.config and any(_there(host, p) for p in (layout.dropins, *layout.flags) if p):
            return layout
    return None


def _there(host: Host, path: str) -> bool:
    try:
        return host.path(path).exists()
    except PermissionError:  # in a folder that only root enters
        return True


def _words(host: Host, files: Sequence[str], gaps: dict[str, str]) -> Iterator[str]:
    """The words of files such as KUBELET_EXTRA_ARGS="--registry-qps=20 --v=2"."""
    for file in files:
        try:
            lines = host.read(file).splitlines()
        except Absent:
            continue
        except Unavailable as error:
            gaps[file] = mend(error)
            continue
        for line in lines:
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # a quote that is never closed
                words = line.replace('"', "").replace("'", "").split()
            for word in words:
                yield from [word] if word.startswith("-") else word.partition("=")[2].split()


def _dropins(host: Host, root: str, folder: str, gaps: dict[str, str]) -> list[Layer]:
    """The *.conf files of the folder and the folders in it, in the order of filepath.WalkDir."""
    try:
        files = host.files(root + folder.rstrip("/"), "*")
    except Unavailable as error:
        gaps[folder] = mend(error)
        return [Layer(folder, None)]
    found = []
    for file in (file.removeprefix(root) for file in files):
        real = host.path(root + file)
        if real.is_dir() and not real.is_symlink():
            found += _dropins(host, root, file, gaps)
        elif file.endswith(".conf"):
            found.append(_layer(host, root, file, gaps))
    return found


def _layer(host: Host, root: str, file: str, gaps: dict[str, str]) -> Layer:
    import yaml

    try:
        values = yaml.safe_load(host.read(root + file))  # JSON is YAML
    except Unavailable as error:
        gaps[file] = mend(error)
        return Layer(file, None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        gaps[file] = "not YAML" + (f": line {mark.line + 1}" if mark else "")
        return Layer(file, None)
    if not isinstance(values, dict):
        gaps[file] = "holds no KubeletConfiguration"
        return Layer(file, None)
    return Layer(file, values)
