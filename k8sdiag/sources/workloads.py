"""Pods as their workloads' templates tell them: a tenth of the data, for an incident."""

from collections import Counter

from msgspec import Struct

from k8sdiag.facts.pods import Pods, Profile, Workload
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources.pods import Pod, PodSpec, Table, job_owner, profile, workload

RANK = 1  # only where sources/pods.py stands back

LISTS = (
    Permission(resource="deployments", group="apps"),
    Permission(resource="statefulsets", group="apps"),
    Permission(resource="daemonsets", group="apps"),
    Permission(resource="jobs", group="batch"),
)
PODS = Permission(resource="pods")
PERMISSIONS = (*LISTS, PODS)

KINDS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
}
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
        raise Unavailable("--quick looks at the workloads' templates instead")
    table = Table()
    gaps = {"pods": UNSEEN}
    waiting: Counter[Workload] = Counter()
    pods = reader.pages("/api/v1/pods", Pod, PODS, params={"fieldSelector": NOT_RUNNING})
    try:
        for page in pods:
            table.add(page)
            waiting.update(map(workload, page))
    except Unavailable as error:
        gaps["pods that do not run"] = str(error)
    for needs in LISTS:
        _add(reader, needs, table, waiting, gaps)
    if len(gaps) == 2 + len(LISTS):
        raise Unavailable("; ".join(why for why in gaps.values() if why != UNSEEN))
    return table.fact(gaps, "workload templates and pods that do not run", placed=False)


def _add(
    reader: Kubernetes,
    needs: Permission,
    table: Table,
    waiting: Counter[Workload],
    gaps: dict[str, str],
) -> None:
    """The pods of one kind of workload that the list of waiting ones has not brought."""
    try:
        for page in reader.pages(f"/apis/{needs.group}/v1/{needs.resource}", _Workload, needs):
            for item in page:
                made = _profile(item, KINDS[needs.resource])
                count = _count(item, needs.resource) - waiting[made.workload]
                if count > 0:
                    table.add_unplaced(made, count)
    except Unavailable as error:
        gaps[needs.resource] = str(error)


def _profile(item: _Workload, kind: str) -> Profile:
    name = item.metadata.name
    if kind == "Job":
        kind, name = job_owner(name)
    return profile(
        Workload(item.metadata.namespace, kind, name), item.spec.template.spec, "Running"
    )


def _count(item: _Workload, resource: str) -> int:
    match resource:
        case "daemonsets":
            return item.status.desired_number_scheduled
        case "jobs":
            return item.status.active
    return item.spec.replicas
