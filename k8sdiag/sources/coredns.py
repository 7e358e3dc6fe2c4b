"""The cluster's DNS servers, as the Kubernetes API tells them: ten small requests, all named."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from k8sdiag.facts.coredns import Autoscaler, CoreDNS, Corefile, NodeLocal
from k8sdiag.facts.pods import Workload
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources._coredns import (
    NODE_LOCAL,
    PLACES,
    PODS,
    ConfigMap,
    Metadata,
    Place,
    every,
    get,
    named,
    replicas,
    service,
)
from k8sdiag.sources._corefile import reduced
from k8sdiag.sources.nodes import quantity

T = TypeVar("T")

KINDS = {
    "Deployment": Permission(resource="deployments", group="apps"),
    "DaemonSet": Permission(resource="daemonsets", group="apps"),
}
BUDGETS = Permission(resource="poddisruptionbudgets", group="policy")
SERVICES = Permission(resource="services")
PERMISSIONS = (
    SERVICES,
    *(named(p, "services", p.service) for p in PLACES),
    *(
        named(p, "configmaps", name)
        for p in PLACES
        for name in (p.config, p.custom, *p.autoscalers)
        if name
    ),
    named(PLACES[0], "configmaps", NODE_LOCAL),
    *KINDS.values(),
    PODS,
    BUDGETS,
)


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


class _Workload(Struct, frozen=True, gc=False):
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


class _ListMetadata(Struct, frozen=True, rename="camel"):
    remaining_item_count: int = 0


class _Counted(Struct, frozen=True):
    metadata: _ListMetadata = _ListMetadata()
    items: list[msgspec.Raw] | None = None


def collect(reader: Kubernetes) -> CoreDNS:
    """Raises Unavailable when the Service can't be read; every other part may be a gap."""
    place, found = service(reader)
    gaps: dict[str, str] = {}

    def attempt(what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except Unavailable as error:
            gaps[what] = str(error)
            return None

    workloads = attempt("the DNS servers' workload", lambda: _workloads(reader, place)) or {}
    made_by = [w for w in workloads if workloads[w].made_with(found.spec.selector)]
    own = workloads[made_by[0]] if made_by else _Workload()
    server = _server(own)
    local = next((workloads[w] for w in workloads if w.name == NODE_LOCAL), None)
    return CoreDNS(
        service=f"{place.namespace}/{place.service}",
        addresses=found.addresses,
        selector=found.spec.selector,
        workload=made_by[0] if made_by else None,
        container=server.name,
        image=server.image,
        memory_limit_bytes=int(quantity(server.resources.limits.get("memory", "0"))),
        replicas=attempt(
            "the DNS servers' pods", lambda: replicas(reader, place, found.spec.selector)
        ),
        budgets=attempt(
            "the DNS servers' PodDisruptionBudgets",
            lambda: _budgets(reader, place, own.spec.template.metadata.labels),
        ),
        corefile=attempt("the Corefile", lambda: _corefile(reader, place, gaps)),
        autoscaler=attempt("the DNS autoscaler", lambda: _autoscaler(reader, place)),
        node_local=_node_local(reader, local, gaps) if local else None,
        services=attempt("the number of Services", lambda: _services(reader)) or 0,
        gaps=gaps,
        provenance=f"Service {place.namespace}/{place.service} and what belongs to it",
    )


def _workloads(reader: Kubernetes, place: Place) -> dict[Workload, _Workload]:
    found = {}
    for kind, needs in KINDS.items():
        path = f"/apis/apps/v1/namespaces/{place.namespace}/{needs.resource}"
        for item in every(reader.pages(path, _Workload, needs)):
            found[Workload(place.namespace, kind, item.metadata.name)] = item
    return found


def _server(workload: _Workload) -> _Container:
    """Not a sidecar: the container whose image is called so, else the first."""
    own = workload.containers
    return next((c for c in own if "coredns" in c.image), own[0] if own else _Container())


def _budgets(reader: Kubernetes, place: Place, labels: dict[str, str]) -> tuple[str, ...]:
    """Expressions of their selectors are not looked at: nobody writes them for these pods."""
    path = f"/apis/policy/v1/namespaces/{place.namespace}/poddisruptionbudgets"
    return tuple(
        budget.metadata.name
        for budget in every(reader.pages(path, _Budget, BUDGETS))
        if (selector := budget.spec.selector) and selector.match_labels.items() <= labels.items()
    )


def _config_map(reader: Kubernetes, place: Place, name: str) -> dict[str, str]:
    path = f"/api/v1/namespaces/{place.namespace}/configmaps/{name}"
    return get(reader, path, named(place, "configmaps", name), ConfigMap).data


def _corefile(reader: Kubernetes, place: Place, gaps: dict[str, str]) -> Corefile | None:
    """None where there is none: then it is no CoreDNS, as on GKE."""
    try:
        text = _config_map(reader, place, place.config).get("Corefile", "")
    except NotFound:
        return None
    custom: dict[str, str] = {}
    if place.custom:
        try:
            custom = _config_map(reader, place, place.custom)
        except NotFound:
            pass
        except Unavailable as error:
            gaps["what the Corefile imports"] = str(error)
    return reduced(f"{place.namespace}/{place.config}", text, custom, gaps)


def _node_local(reader: Kubernetes, local: _Workload, gaps: dict[str, str]) -> NodeLocal:
    """Its addresses stand in its arguments: -localip 169.254.20.10,10.96.0.10"""
    corefile = None
    try:
        text = _config_map(reader, PLACES[0], NODE_LOCAL).get("Corefile", "")
        corefile = reduced(f"kube-system/{NODE_LOCAL}", text, {}, gaps)
    except NotFound:
        pass
    except Unavailable as error:
        gaps["the Corefile of NodeLocal DNSCache"] = str(error)
    words = [word for c in local.containers for word in (*c.command, *c.args)]
    words = [part for word in words for part in word.split("=", 1)]
    flags = [i for i, word in enumerate(words) if word in ("-localip", "--localip")]
    listed = words[flags[0] + 1] if flags and flags[0] + 1 < len(words) else ""
    return NodeLocal(
        desired=local.status.desired_number_scheduled,
        ready=local.status.number_ready,
        addresses=tuple(a for part in listed.split(",") if (a := part.strip())),
        corefile=corefile,
    )


class _Linear(Struct, frozen=True, rename="camel"):
    cores_per_replica: float = 0.0
    nodes_per_replica: float = 0.0
    min: int = 1
    max: int = 0
    prevent_single_point_failure: bool = field(name="preventSinglePointFailure", default=False)


class _Ladder(Struct, frozen=True, rename="camel"):
    cores_to_replicas: tuple[tuple[int, int], ...] = ()
    nodes_to_replicas: tuple[tuple[int, int], ...] = ()


def _autoscaler(reader: Kubernetes, place: Place) -> Autoscaler | None:
    for name in place.autoscalers:
        try:
            data = _config_map(reader, place, name)
        except NotFound:
            continue
        where = f"{place.namespace}/{name}"
        try:
            linear = msgspec.json.decode(data.get("linear", "{}"), type=_Linear)
            ladder = msgspec.json.decode(data.get("ladder", "{}"), type=_Ladder)
        except msgspec.DecodeError as error:
            raise Unavailable(f"ConfigMap {where}: {error}") from error
        return Autoscaler(
            config_map=where,
            cores_per_replica=linear.cores_per_replica,
            nodes_per_replica=linear.nodes_per_replica,
            least=linear.min,
            most=linear.max,
            prevent_single_point_failure=linear.prevent_single_point_failure,
            cores_to_replicas=ladder.cores_to_replicas,
            nodes_to_replicas=ladder.nodes_to_replicas,
        )
    return None


def _services(reader: Kubernetes) -> int:
    """A list of one, which says how many more there are."""
    path = "/api/v1/services"
    try:
        page = msgspec.json.decode(reader.get(path, SERVICES, params={"limit": "1"}), type=_Counted)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{path}: {error}") from error
    return len(page.items or ()) + page.metadata.remaining_item_count
