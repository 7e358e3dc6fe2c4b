"""Pods as their workloads' templates tell them: a tenth of the data, for an incident."""

from collections import Counter

from msgspec import Struct

from k8sdiag.facts.pods import Pods, Profile, Workload
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources._pod import Pod, PodSpec, job_owner, profile, workload
from k8sdiag.sources.pods import Table

RANK = 1  # only where sources/pods.py stands back

LISTS = {
    "Deployment": Permission(resource="deployments", group="apps"),
    "StatefulSet": Permission(resource="statefulsets", group="apps"),
    "DaemonSet": Permission(resource="daemonsets", group="apps"),
    "Job": Permission(resource="jobs", group="batch"),
}
PODS = Permission(resource="pods")
PERMISSIONS = (*LISTS.values(), PODS)

NOT_RUNNING = "status.phase!=Running,status.phase!=Succeeded,status.phase!=Failed"
UNSEEN = (
    "a quick look reads workload templates and the pods that do not run: it sees neither running "
    "pods without such a workload nor what webhooks add; look again without --quick"
)


class _Metadata(Struct, gc=False):
    name: str
    namespace: str = ""


class _Template(Struct, gc=False):
    spec: PodSpec = PodSpec()


class _Spec(Struct, gc=False):
    template: _Template
    replicas: int = 1


class _Status(Struct, frozen=True, rename="camel", gc=False):
    desired_number_scheduled: int = 0  # of a DaemonSet
    active: int = 0  # of a Job


class _Workload(Struct, gc=False):
    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()


def collect(reader: Kubernetes) -> Pods:
    if not reader.quick:
        raise Unavailable("with --quick the workloads' templates are read instead")
    table = Table()
    gaps = {"pods": UNSEEN}
    waiting: Counter[Workload] = Counter()
    selector = {"fieldSelector": NOT_RUNNING}
    try:
        for pods in reader.pages("/api/v1/pods", Pod, PODS, params=selector):
            table.add(pods)
            waiting.update(map(workload, pods))
    except Unavailable as error:
        gaps["pods that do not run"] = str(error)
    for kind, needs in LISTS.items():
        try:
            for page in reader.pages(f"/apis/{needs.group}/v1/{needs.resource}", _Workload, needs):
                for item in page:
                    made = _profile(item, kind)
                    count = _count(item, kind)
                    listed = min(count, waiting[made.workload])
                    waiting[made.workload] -= listed
                    table.add_unplaced(made, count - listed)
        except Unavailable as error:
            gaps[needs.resource] = str(error)
    if len(gaps) == 2 + len(LISTS):
        raise Unavailable("; ".join(why for why in gaps.values() if why != UNSEEN))
    return table.fact(gaps, "workload templates and pods that do not run", placed=False)


def _profile(item: _Workload, kind: str) -> Profile:
    name = item.metadata.name
    if kind == "Job":
        kind, name = job_owner(name)
    owner = Workload(item.metadata.namespace, kind, name)
    return profile(owner, item.spec.template.spec, "Running")


def _count(item: _Workload, kind: str) -> int:
    if kind == "DaemonSet":
        return item.status.desired_number_scheduled
    return item.status.active if kind == "Job" else item.spec.replicas
