"""The nodes' search domains, from the events of kubelets that cut a pod's search list.

A DNSConfigForming event prints the search line that was applied (formDNSSearchFitsLimits in
pkg/kubelet/network/dns/dns.go). What in it is neither the cluster's nor asked for by the pod came
from the node's own file.
"""

import re

import msgspec

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.kubeletdns import asks_cluster
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources import _events
from k8sdiag.sources._events import DNS, Event, Events, Involved
from k8sdiag.sources._pod import Pod, profile, workload

POD = Permission(resource="pods", verb="get")
PERMISSIONS = (_events.LIST, POD)
RANK = 10  # after a node's own file, which has all of it
MOST_PODS = 5  # looked up, until one is still there
_APPLIED = re.compile(r"the applied search line is: (.+)")


def collect(reader: Kubernetes) -> NodeResolvConf:
    """Of the first pod that can be looked up: what it asks for itself is taken away."""
    if reader.quick:
        raise Unavailable("a quick look lists no events")
    return _told(reader, _events.read(reader))


def collect_alone(reader: Kubernetes) -> NodeResolvConf:
    """The same for who wants nothing else of the events."""
    return _told(reader, _events.only(reader, DNS))


def _told(reader: Kubernetes, events: Events) -> NodeResolvConf:
    applied: dict[Involved, tuple[Event, tuple[str, ...]]] = {}
    for event in events.by_reason[DNS]:
        if told := _APPLIED.search(event.message or ""):
            applied.setdefault(event.involved_object, (event, tuple(told[1].split())))
    for event, line in list(applied.values())[:MOST_PODS]:
        pod = _pod(reader, event.involved_object)
        if pod and (rest := _beside_the_cluster_s(pod, line)) is not None:
            node = event.node or pod.spec.node_name
            asked = pod.spec.dns_config.searches if pod.spec.dns_config else ()
            # The pod's own domains come last: where one is left, none of the node's was cut.
            whole = any(domain in asked for domain in rest)
            cut = {f"search domains of node/{node}": "its kubelet cut the list, more may exist"}
            return NodeResolvConf(
                node=node,
                path="unknown",
                searches=tuple(domain for domain in rest if domain not in asked),
                gaps={} if whole else cut,
                provenance=f"the search line in a {DNS} event of node/{node}",
            )
    unseen = f": {events.gap}" if events.gap else ""
    raise Unavailable(f"no {DNS} event tells the search domains of a node{unseen}")


def _pod(reader: Kubernetes, of: Involved) -> Pod | None:
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
