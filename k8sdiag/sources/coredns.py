"""The cluster's DNS servers, as the Kubernetes API tells them: ten small requests, all named."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources._coredns import NODE_LOCAL, PLACES, PODS, named, replicas, service
from k8sdiag.sources._coredns_config import autoscaler, corefile, node_local
from k8sdiag.sources._coredns_workloads import BUDGETS, KINDS, Made, budgets, server, workloads
from k8sdiag.sources.nodes import quantity

T = TypeVar("T")

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

    made = attempt("the DNS servers' workload", lambda: workloads(reader, place)) or {}
    made_by = [w for w in made if made[w].made_with(found.spec.selector)]
    own = made[made_by[0]] if made_by else Made()
    container = server(own)
    local = next((made[w] for w in made if w.name == NODE_LOCAL), None)
    return CoreDNS(
        service=f"{place.namespace}/{place.service}",
        addresses=found.addresses,
        selector=found.spec.selector,
        workload=made_by[0] if made_by else None,
        container=container.name,
        image=container.image,
        memory_limit_bytes=int(quantity(container.resources.limits.get("memory", "0"))),
        replicas=attempt(
            "the DNS servers' pods", lambda: replicas(reader, place, found.spec.selector)
        ),
        budgets=attempt(
            "the DNS servers' PodDisruptionBudgets",
            lambda: budgets(reader, place, own.spec.template.metadata.labels),
        ),
        corefile=attempt("the Corefile", lambda: corefile(reader, place, gaps)),
        autoscaler=attempt("the DNS autoscaler", lambda: autoscaler(reader, place)),
        node_local=node_local(reader, local, gaps) if local else None,
        services=attempt("the number of Services", lambda: _services(reader)) or 0,
        gaps=gaps,
        provenance=f"Service {place.namespace}/{place.service} and what belongs to it",
    )


def _services(reader: Kubernetes) -> int:
    """A list of one, which says how many more there are."""
    path = "/api/v1/services"
    try:
        page = msgspec.json.decode(reader.get(path, SERVICES, params={"limit": "1"}), type=_Counted)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{path}: {error}") from error
    return len(page.items or ()) + page.metadata.remaining_item_count
