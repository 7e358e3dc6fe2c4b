"""The last lines of the pods of etcd and kube-apiserver, matched against known failures."""

from datetime import UTC, datetime

from msgspec import Struct

from k8sdiag.facts.control_plane_logs import ControlPlaneLogs, PodLog
from k8sdiag.failuretexts import API_SERVER, ETCD, dated, matches
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes

LIST = Permission(resource="pods", namespace="kube-system")
LOG = Permission(resource="pods/log", verb="get", namespace="kube-system")
PERMISSIONS = (LIST, LOG)

# (namespace, label selector): kubeadm and RKE2; kOps; OpenShift. The last is not among the
# permissions: a Role needs its namespace, which only OpenShift has.
PLACES = (
    ("kube-system", "component in (etcd, kube-apiserver)"),
    ("kube-system", "k8s-app in (etcd-manager-main, etcd-manager-events, kube-apiserver)"),
    ("openshift-etcd", "k8s-app=etcd"),
    ("openshift-kube-apiserver", "app=openshift-kube-apiserver"),
)
CONTAINERS = {"etcd": ETCD, "etcd-manager": ETCD, "kube-apiserver": API_SERVER}
MOST_PODS = 20  # a control plane has 3 to 5 of each
LINES = 2000
# The server stops after so many bytes from the oldest line on, so it must not bite.
BYTES = 8 << 20
SECONDS = 24 * 3600


class _Metadata(Struct, frozen=True):
    name: str


class _Container(Struct, frozen=True):
    name: str = ""


class _Spec(Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Pod(Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


def collect(reader: Kubernetes) -> ControlPlaneLogs:
    """Raises Unavailable where no such pod is to be seen, or no log of one can be read."""
    found, gaps = _containers(reader)
    if not found:
        why = next(iter(gaps.values()), "it runs elsewhere, as managed control planes do")
        raise Unavailable(f"no pod of the control plane is to be seen: {why}")
    for namespace, pod, _ in found[MOST_PODS:]:
        gaps[f"{namespace}/{pod}"] = f"the logs of {MOST_PODS} pods are read at most"
    logs = []
    for namespace, pod, container in found[:MOST_PODS]:
        try:
            logs.append(_read(reader, namespace, pod, container, gaps))
        except Unavailable as error:
            gaps[f"{namespace}/{pod}"] = str(error)
    if not logs:
        raise Unavailable(f"no log of the control plane can be read: {next(iter(gaps.values()))}")
    return ControlPlaneLogs(
        logs=tuple(sorted(logs, key=lambda log: (log.component, log.pod))),
        read_at=datetime.now(UTC).replace(microsecond=0),
        gaps=gaps,
        provenance=f"the last {LINES:,} lines of each pod's log",
    )


def _containers(reader: Kubernetes) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
    """(namespace, pod, container) of each that is read, and the namespaces that can't be seen."""
    found: list[tuple[str, str, str]] = []
    gaps: dict[str, str] = {}
    for namespace, selector in PLACES:
        if found and namespace != "kube-system":
            break  # it is another distribution's
        needs = Permission(resource="pods", namespace=namespace)
        path = f"/api/v1/namespaces/{namespace}/pods"
        try:
            for page in reader.pages(path, _Pod, needs, params={"labelSelector": selector}):
                found += [
                    (namespace, pod.metadata.name, container.name)
                    for pod in page
                    for container in pod.spec.containers
                    if container.name in CONTAINERS
                ]
        except Unavailable as error:
            gaps.setdefault(f"pods of {namespace}", str(error))
    if found:
        gaps = {who: why for who, why in gaps.items() if who == "pods of kube-system"}
    return sorted(found), gaps


def _read(
    reader: Kubernetes, namespace: str, pod: str, container: str, gaps: dict[str, str]
) -> PodLog:
    body = reader.get(
        f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
        Permission(resource="pods/log", verb="get", namespace=namespace),
        params={
            "container": container,
            "tailLines": str(LINES),
            "limitBytes": str(BYTES),
            "sinceSeconds": str(SECONDS),
            "timestamps": "true",
        },
    )
    if len(body) >= BYTES:
        gaps[f"{namespace}/{pod}"] = f"its newest lines were not read: {LINES:,} are too many bytes"
    lines = list(dated(body.decode(errors="replace")))
    component = CONTAINERS[container]
    return PodLog(
        pod=f"{namespace}/{pod}",
        component=component,
        lines=len(lines),
        since=lines[0][0] if lines else None,
        matches=matches(component, lines),
    )
