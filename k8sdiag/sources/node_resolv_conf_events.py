"""The nodes' search domains, from the events of kubelets that cut a pod's search list.

A DNSConfigForming event prints the search line that was applied (formDNSSearchFitsLimits in
pkg/kubelet/network/dns/dns.go). What in it is neither the cluster's nor asked for by the pod came
from the node's own file.
"""

import re

import msgspec
from msgspec import Struct

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.kubeletdns import asks_cluster
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources._pod import Pod, profile, workload

EVENTS = Permission(resource="events")
POD = Permission(resource="pods", verb="get")
PERMISSIONS = (EVENTS, POD)
RANK = 10  # after a node's own file, which has all of it
REASON = "DNSConfigForming"
MOST_EVENTS = 100
MOST_PODS = 5  # looked up, until one is still there
_APPLIED = re.compile(r"the applied search line is: (.+)")


class _Object(Struct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Origin(Struct, frozen=True):
    host: str = ""


class _Event(Struct, frozen=True, rename="camel"):
    involved_object: _Object = _Object()
    source: _Origin = _Origin()
    message: str = ""


class _Events(Struct, frozen=True):
    items: tuple[_Event, ...] = ()


def collect(reader: Kubernetes) -> NodeResolvConf:
    """Of the first pod that can be looked up: what it asks for itself is taken away."""
    if reader.quick:
        raise Unavailable("a quick look lists no events")
    params = {"fieldSelector": f"reason={REASON}", "limit": str(MOST_EVENTS)}
    body = reader.get("/api/v1/events", EVENTS, params=params)
    try:
        events = msgspec.json.decode(body, type=_Events).items
    except msgspec.DecodeError as error:
        raise Unavailable(f"events of the API server: {error}") from error
    applied: dict[_Object, tuple[_Event, tuple[str, ...]]] = {}
    for event in events:
        if event.involved_object.kind == "Pod" and (told := _APPLIED.search(event.message)):
            applied.setdefault(event.involved_object, (event, tuple(told[1].split())))
    for event, line in list(applied.values())[:MOST_PODS]:
        pod = _pod(reader, event.involved_object)
        if pod and (rest := _beside_the_cluster_s(pod, line)) is not None:
            node = event.source.host or pod.spec.node_name
            asked = pod.spec.dns_config.searches if pod.spec.dns_config else ()
            # The pod's own domains come last: where one is left, none of the node's was cut.
            whole = any(domain in asked for domain in rest)
            cut = {f"search domains of node/{node}": "its kubelet cut the list, more may exist"}
            return NodeResolvConf(
                node=node,
                path="unknown",
                searches=tuple(domain for domain in rest if domain not in asked),
                gaps={} if whole else cut,
                provenance=f"the search line in a {REASON} event of node/{node}",
            )
    raise Unavailable(f"no {REASON} event tells the search domains of a node")


def _pod(reader: Kubernetes, of: _Object) -> Pod | None:
    try:
        body = reader.get(f"/api/v1/namespaces/{of.namespace}/pods/{of.name}", POD)
        return msgspec.json.decode(body, type=Pod)
    except NotFound:  # an event outlives its pod by an hour
        return None
    except msgspec.DecodeError as error:
        raise Unavailable(f"pod {of.namespace}/{of.name}: {error}") from error


def _beside_the_cluster_s(pod: Pod, line: tuple[str, ...]) -> tuple[str, ...] | None:
    """None where the line does not tell: it has nothing of the node's, or is no pod's of today."""
    made = profile(workload(pod), pod.spec, pod.status.phase)
    if made.dns_policy == "None":
        return None
    if not asks_cluster(made):
        return line
    domain = line[0].removeprefix(f"{pod.metadata.namespace}.svc.")
    known = line[:3] == (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)
    return line[3:] if known else None
