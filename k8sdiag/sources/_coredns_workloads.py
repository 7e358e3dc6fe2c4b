"""What makes the pods of DNS servers, and what protects them."""

from msgspec import Struct

from k8sdiag.facts.pods import Workload
from k8sdiag.model import Permission
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources._coredns import Metadata, Place, every

KINDS = {
    "Deployment": Permission(resource="deployments", group="apps"),
    "DaemonSet": Permission(resource="daemonsets", group="apps"),
}
BUDGETS = Permission(resource="poddisruptionbudgets", group="policy")


class _Resources(Struct, frozen=True, gc=False):
    limits: dict[str, str] = {}


class _Container(Struct, frozen=True, gc=False):
    name: str = ""
    image: str = ""
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    resources: _Resources = _Resources()


class _PodSpec(Struct, frozen=True, gc=False):
    containers: tuple[_Container, ...] = ()


class _Template(Struct, frozen=True, gc=False):
    metadata: Metadata = Metadata()
    spec: _PodSpec = _PodSpec()


class _Spec(Struct, frozen=True, gc=False):
    template: _Template = _Template()


class _Status(Struct, frozen=True, rename="camel", gc=False):
    desired_number_scheduled: int = 0
    number_ready: int = 0


class Made(Struct, frozen=True, gc=False):
    metadata: Metadata = Metadata()
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def containers(self) -> tuple[_Container, ...]:
        return self.spec.template.spec.containers

    def made_with(self, selector: dict[str, str]) -> bool:
        return selector.items() <= self.spec.template.metadata.labels.items()


class _Selector(Struct, frozen=True, rename="camel", gc=False):
    match_labels: dict[str, str] = {}


class _BudgetSpec(Struct, frozen=True, gc=False):
    selector: _Selector | None = None  # None selects nothing, an empty one everything


class _Budget(Struct, frozen=True, gc=False):
    metadata: Metadata = Metadata()
    spec: _BudgetSpec = _BudgetSpec()


def workloads(reader: Kubernetes, place: Place) -> dict[Workload, Made]:
    found = {}
    for kind, needs in KINDS.items():
        path = f"/apis/apps/v1/namespaces/{place.namespace}/{needs.resource}"
        for item in every(reader.pages(path, Made, needs)):
            found[Workload(place.namespace, kind, item.metadata.name)] = item
    return found


def server(workload: Made) -> _Container:
    """Not a sidecar: the container whose image is called so, else the first."""
    own = workload.containers
    return next((c for c in own if "coredns" in c.image), own[0] if own else _Container())


def budgets(reader: Kubernetes, place: Place, labels: dict[str, str]) -> tuple[str, ...]:
    """Expressions of their selectors are not looked at: nobody writes them for these pods."""
    path = f"/apis/policy/v1/namespaces/{place.namespace}/poddisruptionbudgets"
    return tuple(
        budget.metadata.name
        for budget in every(reader.pages(path, _Budget, BUDGETS))
        if (selector := budget.spec.selector) and selector.match_labels.items() <= labels.items()
    )
