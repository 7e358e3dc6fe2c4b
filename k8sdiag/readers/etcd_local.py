"""The certificates of the etcd that runs on this host, where distributions keep them."""

from pathlib import Path

from msgspec import Struct, field

from k8sdiag.model import ConfigError, Permission, Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes

ENDPOINT = "https://127.0.0.1:2379"
NONE = (
    "etcd was not asked: run this on a control plane node, as root, or give --etcd-endpoints with "
    "--etcd-cacert, --etcd-cert and --etcd-key (kubeadm keeps them in /etc/kubernetes/pki/etcd)"
)


class Place(Struct, frozen=True):
    """Where one distribution keeps them; `*` stands for the node's name."""

    distribution: str
    folder: str
    cacert: str
    cert: str
    key: str


PLACES = (
    Place(
        "kubeadm",
        "/etc/kubernetes/pki/etcd",
        "ca.crt",
        "healthcheck-client.crt",
        "healthcheck-client.key",
    ),
    Place(
        "k3s",
        "/var/lib/rancher/k3s/server/tls/etcd",
        "server-ca.crt",
        "client.crt",
        "client.key",
    ),
    Place(
        "RKE2",
        "/var/lib/rancher/rke2/server/tls/etcd",
        "server-ca.crt",
        "client.crt",
        "client.key",
    ),
    Place(
        "OpenShift",
        "/etc/kubernetes/static-pod-resources/etcd-certs",
        "configmaps/etcd-all-bundles/server-ca-bundle.crt",
        "secrets/etcd-all-certs/etcd-peer-*.crt",
        "secrets/etcd-all-certs/etcd-peer-*.key",
    ),
    Place("kubespray", "/etc/ssl/etcd/ssl", "ca.pem", "admin-*.pem", "admin-*-key.pem"),
    Place("k0s", "/var/lib/k0s/pki/etcd", "ca.crt", "peer.crt", "peer.key"),
)


class _NodeInfo(Struct, frozen=True):
    machine_id: str = field(name="machineID", default="")


class _Status(Struct, frozen=True, rename="camel"):
    node_info: _NodeInfo = _NodeInfo()


class _Node(Struct):
    status: _Status = _Status()


def belongs(host: Host, kubernetes: Kubernetes) -> bool:
    """Whether this host is a node of that cluster, by its machine id.

    A control plane's node is often where admins work on other clusters too. Raises Unavailable.
    """
    own = host.read("/etc/machine-id").strip()
    only = {"fieldSelector": f"metadata.name={host.name}"}
    pages = kubernetes.pages("/api/v1/nodes", _Node, Permission(resource="nodes"), params=only)
    return any(own and node.status.node_info.machine_id == own for page in pages for node in page)


def open_local(host: Host, user: str = "", password: str = "") -> Etcd:
    """The door to the etcd of this host.

    Raises Unavailable where the host has no certificates of one, or they can't be read.
    """
    unreadable = ""
    for place in PLACES:
        try:
            found = [_file(host, place, name) for name in (place.cacert, place.cert, place.key)]
            if not all(found):
                continue
            cacert, cert, key = found
            return Etcd.open(
                ENDPOINT, cacert=cacert, cert=cert, key=key, user=user, password=password
            )
        except (OSError, ConfigError) as error:
            # Another distribution's may still be readable: leftovers of an older one.
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            unreadable = unreadable or (
                f"this host has the etcd certificates of {place.distribution}, but {why}; run it "
                "as root, or give --etcd-endpoints"
            )
    raise Unavailable(unreadable or NONE)


def _file(host: Host, place: Place, name: str) -> Path | None:
    """The file of that name, or the first of that pattern. Raises OSError."""
    wanted = Path(name).name
    try:
        found = sorted((host.path(place.folder) / name).parent.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return None
    keys = "-key." in wanted
    return next((p for p in found if p.match(wanted) and ("-key." in p.name) == keys), None)
