"""What DNS servers are told: their ConfigMaps, each read by its name."""

import msgspec
from msgspec import Struct, field

from k8sdiag.facts.coredns import Autoscaler, Corefile, NodeLocal
from k8sdiag.model import Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources._coredns import NODE_LOCAL, PLACES, ConfigMap, Place, get, named
from k8sdiag.sources._coredns_workloads import Made
from k8sdiag.sources._corefile import reduced


def _config_map(reader: Kubernetes, place: Place, name: str) -> dict[str, str]:
    path = f"/api/v1/namespaces/{place.namespace}/configmaps/{name}"
    return get(reader, path, named(place, "configmaps", name), ConfigMap).data


def corefile(reader: Kubernetes, place: Place, gaps: dict[str, str]) -> Corefile | None:
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


def node_local(reader: Kubernetes, local: Made, gaps: dict[str, str]) -> NodeLocal:
    """Its addresses stand in its arguments: -localip 169.254.20.10,10.96.0.10"""
    found = None
    try:
        text = _config_map(reader, PLACES[0], NODE_LOCAL).get("Corefile", "")
        found = reduced(f"kube-system/{NODE_LOCAL}", text, {}, gaps)
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
        corefile=found,
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


def autoscaler(reader: Kubernetes, place: Place) -> Autoscaler | None:
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
