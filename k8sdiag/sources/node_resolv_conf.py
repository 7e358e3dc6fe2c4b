"""The resolv.conf that kubelets hand on to pods: as the user gives it, or this host's kubelet's.

A workstation's own is no node's.
"""

from pathlib import Path

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.kubeletdns import parse
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.sources import kubelet_host

KEEP_SECONDS = 60.0  # files that change when a node is set up anew

# systemd-resolved's stub listens on the host's loopback, where no pod reaches it; this holds the
# real servers (systemd-resolved.service(8)), and kubeadm sets resolvConf to it.
STUB = ("127.0.0.53",)
RESOLVED = "/run/systemd/resolve/resolv.conf"
DEFAULT = "/etc/resolv.conf"


def collect(host: Host) -> NodeResolvConf:
    if host.node_resolv_conf:
        return _given(host.node_resolv_conf)
    kubelet = kubelet_host.collect(host)
    if kubelet.settings is None:
        raise Unavailable(
            "no kubelet runs on this host, so its resolv.conf is no node's; give a node's own with "
            "--node-resolv-conf, or run on a node of the cluster"
        )
    path = kubelet.settings.resolv_conf
    told = f"resolvConf by {kubelet.settings.sources.get('resolv_conf', '')}"
    if path == "":
        return NodeResolvConf(node=kubelet.node, path="", provenance=f"{told}: none")
    text = host.read(path or DEFAULT)
    if path is None:
        told = "assumed, the kubelet's resolvConf is not known"
        if parse(text)[0] == STUB:
            path, text = RESOLVED, host.read(RESOLVED)
    nameservers, searches, options = parse(text)
    return NodeResolvConf(
        node=kubelet.node,
        path=path or DEFAULT,
        nameservers=nameservers,
        searches=searches,
        options=options,
        provenance=f"{path or DEFAULT} of node/{kubelet.node} ({told})",
    )


def _given(path: Path) -> NodeResolvConf:
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise Unavailable(f"--node-resolv-conf {path}: {error.strerror}") from error
    nameservers, searches, options = parse(text)
    return NodeResolvConf(
        node="any",
        path=str(path),
        nameservers=nameservers,
        searches=searches,
        options=options,
        provenance=f"{path} (--node-resolv-conf), taken for that of every node",
    )
