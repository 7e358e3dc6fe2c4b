"""What to type about slow image pulls, by who configures the kubelet."""

import re
import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from k8sdiag.checks import _image_pull_runtime_remedy as of_runtime
from k8sdiag.facts.nodes import Node
from k8sdiag.model import Remedy
from k8sdiag.pulls.downloads import Downloads, by_default
from k8sdiag.pulls.forecast import Option
from k8sdiag.pulls.kubelets import release

_CONFIGURATION = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
_SIZES = '{range .status.images[*]}{.sizeBytes} {.names[0]}{"\\n"}{end}'
_ONE_POOL = "one pool at a time; a restart of the kubelet leaves its pods running"


def best(node: Node, downloads: Downloads, helps: Sequence[Option]) -> Remedy:
    """The setting that helps most first; what it would be together with the other, in words."""
    first = helps[0]
    if first.slots and first.streams:  # neither helps alone: pulls first, then their downloads
        remedy = in_parallel(node, first.slots)
        then = f", and raise max_concurrent_downloads to {first.streams}: one is nothing alone"
    elif first.slots:
        remedy, then = in_parallel(node, first.slots), ""
    else:
        remedy, then = more_downloads(node, downloads, first.streams or 0), ""
    rest = [o for o in helps[1:] if o.seconds < first.seconds]
    if rest:
        then = f"; if that is not enough, {rest[-1].what}"
    return replace(remedy, summary=remedy.summary + then)


def more_downloads(node: Node, downloads: Downloads, streams: int) -> Remedy:
    """Raise the container runtime's own bound, where it reads it."""
    if downloads.read:
        return of_runtime.more_downloads(downloads.read, streams)
    restart = "sudo systemctl restart containerd  # on each node of the pool; containers go on"
    if node.runtime.startswith("docker"):
        return Remedy(
            summary=f"let Docker download {streams} layers at once, {_ONE_POOL}",
            commands=(
                "sudo vi /etc/docker/daemon.json  # the line of the manifest",
                "sudo systemctl reload docker  # on each node of the pool",
            ),
            manifest=f'{{"max-concurrent-downloads": {streams}}}\n',
        )
    line = f"  max_concurrent_downloads = {streams}\n"
    where = "io.containerd.cri.v1.images"
    note = ""
    if downloads.per_node:  # from 2.1 on
        where = "io.containerd.transfer.v1.local"
        note = (
            "; where containerd logs at its start that it falls back to local image pull, the "
            "line belongs under io.containerd.cri.v1.images instead"
        )
    elif node.runtime.startswith("containerd://1."):
        where = "io.containerd.grpc.v1.cri"
    return Remedy(
        summary=f"let containerd download {streams} layers at once, one pool at a time{note}",
        commands=(
            "sudo vi /etc/containerd/config.toml  # the lines of the manifest",
            restart,
        ),
        manifest=f"[plugins.'{where}']\n{line}",
    )


def critical_first(node: Node, slots: int) -> Remedy:
    """Let what the node needs to be ready not wait behind what it does not."""
    remedy = in_parallel(node, slots)
    return replace(
        remedy,
        summary=f"{remedy.summary}; or bake the images of the node-critical DaemonSets into the "
        "node image, so that they never queue",
    )


def in_parallel(node: Node, slots: int) -> Remedy:
    """Pull `slots` images at once, set where this kind of node takes it."""
    bounded = release(node.kubelet) >= (1, 27)
    # Both lines: a drop-in with the second alone stops the kubelet, which has filled in
    # serializeImagePulls: true before it reads the drop-ins.
    settings = {"serializeImagePulls": "false"}
    if bounded:
        settings["maxParallelImagePulls"] = str(slots)
    settings |= {"registryPullQPS": "20", "registryBurst": "40"}
    lines = "".join(f"{key}: {value}\n" for key, value in settings.items())
    many = f"{slots} images at once" if bounded else "images in parallel"
    if "CoreOS" in node.os_image and "Red Hat" in node.os_image:
        nested = "".join(f"    {line}\n" for line in lines.splitlines())
        return Remedy(
            summary=f"let the kubelets pull {many}: the machine config operator drains and "
            "restarts the pool's nodes one after the other",
            commands=("oc apply -f image-pulls.yaml",),
            manifest="apiVersion: machineconfiguration.openshift.io/v1\nkind: KubeletConfig\n"
            "metadata: {name: image-pulls}\nspec:\n  machineConfigPoolSelector:\n"
            "    matchLabels: {pools.operator.machineconfiguration.openshift.io/worker: ''}\n"
            f"  kubeletConfig:\n{nested}",
        )
    if rancher := re.search(r"\+(k3s|rke2)", node.kubelet):
        name = rancher[1]
        server = "k3s" if name == "k3s" else "rke2-server"
        folder = f"/var/lib/rancher/{name}/agent/etc/kubelet.conf.d"
        return Remedy(
            summary=f"let the kubelets pull {many}, {_ONE_POOL}",
            commands=(
                f"sudo install -m 0600 90-image-pulls.conf {folder}/",
                f"sudo systemctl restart {name}-agent  # on a server: {server}",
            ),
            manifest=_CONFIGURATION + lines,
        )
    return Remedy(
        summary=f"let the kubelets pull {many}, {_ONE_POOL}; as kubeadm does it below, on managed "
        "nodes in the pool's own kubelet configuration (see the check's page)",
        commands=(
            "kubectl -n kube-system edit configmap kubelet-config  # the lines of the manifest",
            "sudo kubeadm upgrade node phase kubelet-config  # on each node of the pool",
            "sudo systemctl restart kubelet  # on each node of the pool",
        ),
        manifest=_CONFIGURATION + lines,
    )


def smaller_or_nearer(node: Node) -> Remedy:
    """Where the bytes are too many for more pulls at once to help."""
    more = "; if download streams are what is short, raise the runtime's max_concurrent_downloads"
    return Remedy(
        summary="pull fewer bytes, or from nearer: bake the largest images into the node image "
        "or pull them before pods land there, use a registry mirror beside the nodes, shrink "
        f"them{more if by_default(node).settable else ''}",
        commands=(
            f"kubectl get node {shlex.quote(node.name)} -o jsonpath='{_SIZES}' | sort -rn | head",
        ),
    )


def without_flag() -> Remedy:
    return Remedy(
        summary="remove the flag before Kubernetes 1.24; the container runtime has the deadline "
        "now (containerd: image_pull_progress_timeout, CRI-O: pull_progress_timeout)",
        commands=(
            "sudo grep -rs image-pull-progress-deadline /etc /usr/lib/systemd /var/lib/kubelet",
        ),
    )


def same_settings(node: str, other: str) -> Remedy:
    return Remedy(
        summary="give all nodes of the pool one configuration: look for drop-ins and flags that "
        "only some have, or for nodes made before the last change",
        commands=tuple(
            f"kubectl get --raw /api/v1/nodes/{shlex.quote(name)}/proxy/configz"
            for name in (node, other)
        ),
    )
