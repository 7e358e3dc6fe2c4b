"""Every member of etcd by the /metrics of its pod, through the API server: no certificate needed.

kubeadm and RKE2 serve them without TLS on the node's loopback, at port 2381. A port-forward
reaches it where no other way through the API server does.
"""

from k8sdiag.facts.etcd import EtcdMember, EtcdMembers
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import _etcd_answer, etcd_pods
from k8sdiag.sources._etcd_metrics import by_page

RANK = 1  # Status tells more
SECONDS = 5.0  # for one pod
FORWARD = Permission(resource="pods/portforward", verb="create", namespace="kube-system")
PERMISSIONS = (
    *etcd_pods.PERMISSIONS,
    FORWARD,
    # Of a WebSocket the API server asks for get as well; before Kubernetes 1.35 for it alone.
    Permission(resource="pods/portforward", verb="get", namespace="kube-system"),
)


def collect(reader: Kubernetes) -> EtcdMembers:
    """Raises Unavailable when no pod of etcd serves plain metrics that can be reached."""
    if not reader.forward_to_etcd:
        raise Unavailable("etcd itself is asked")
    pods = etcd_pods.collect(reader).etcds
    members: list[EtcdMember] = []
    gaps: dict[str, str] = {}
    flags: tuple[str, ...] = ()
    for pod in pods:
        port = next(iter(pod.metrics_ports), None)
        try:
            if port is None:
                raise Unavailable("it serves no metrics without TLS")  # noqa: TRY301
            body = reader.forward(pod.namespace, pod.name, port, "/metrics", SECONDS)
            page = _etcd_answer.read_page(body)
        except Unavailable as error:
            gaps[f"etcd/{pod.name}"] = str(error)
            continue
        endpoint = next(iter(pod.client_urls), f"{pod.namespace}/{pod.name}")
        found, unseen = by_page(endpoint, pod.name, page)
        members.append(found)
        gaps |= unseen
        flags = flags or pod.etcdctl_flags
    if not members:
        raise Unavailable("; ".join(dict.fromkeys(gaps.values())) or "no pod runs etcd")
    return EtcdMembers(
        members=tuple(members),
        etcdctl_flags=flags,
        gaps=gaps,
        provenance="/metrics of the etcd pods, by port-forward",
    )
