"""What to type about slow image pulls, by who configures the kubelet."""

import re

from k8sdiag.facts.nodes import Node
from k8sdiag.model import Remedy

_CONFIGURATION = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
_SIZES = '{range .status.images[*]}{.sizeBytes} {.names[0]}{"\\n"}{end}'
_ONE_POOL = "one pool at a time; a restart of the kubelet leaves its pods running"


def in_parallel(node: Node, slots: int) -> Remedy:
    """Pull `slots` images at once, set where this kind of node takes it."""
    release = re.match(r"v?(\d+)\.(\d+)", node.kubelet)
    bounded = not release or (int(release[1]), int(release[2])) >= (1, 27)
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
    return Remedy(
        summary="pull fewer bytes, or from nearer: bake the largest images into the node image "
        "or pull them before pods land there, use a registry mirror beside the nodes, shrink "
        "them; if download streams are what is short, raise the container runtime's "
        "max_concurrent_downloads",
        commands=(f"kubectl get node {node.name} -o jsonpath='{_SIZES}' | sort -rn | head",),
    )


def without_flag() -> Remedy:
    return Remedy(
        summary="remove the flag before Kubernetes 1.24; the container runtime has the deadline "
        "now (containerd: image_pull_progress_timeout, CRI-O: pull_progress_timeout)",
        commands=(
            "sudo grep -rs image-pull-progress-deadline /etc /usr/lib/systemd /var/lib/kubelet",
        ),
    )
