"""How much of each published threshold a cluster uses, and what makes it grow."""

from collections import Counter

from k8sdiag.checks._built_in import BUILT_IN
from k8sdiag.checks._cluster_limits import ClusterSize
from k8sdiag.facts.cluster import ServiceEndpoints, Services
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Usage

ENDED = ("Succeeded", "Failed")
UPSTREAM = "the scalability thresholds of Kubernetes (sig-scalability, thresholds.md)"
GKE = "the limits of GKE Standard"
# Types whose objects come one to one with something else; all others grow in their own way.
DRIVERS = {
    "csinodes.storage.k8s.io": "nodes",
    "leases.coordination.k8s.io": "nodes",
    "nodes": "nodes",
    "pods": "pods",
}


def of_nodes(nodes: Nodes, limits: ClusterSize) -> Usage:
    return _usage("nodes", len(nodes.nodes), limits.nodes, "nodes", "nodes")


def of_pods(pods: Pods, nodes: Nodes, limits: ClusterSize) -> list[Usage]:
    profiles = [(pods.profiles[i], n) for i, n in pods.counts().items()]
    running = [(profile, n) for profile, n in profiles if profile.phase not in ENDED]
    total = sum(n for _, n in running)
    containers = sum(n * sum(not c.init for c in p.containers) for p, n in running)
    gke = "-gke." in nodes.server
    told = GKE if gke else UPSTREAM
    most_pods = limits.gke_pods if gke else limits.pods
    most_containers = limits.gke_containers if gke else limits.containers
    found = [
        _usage("pods", total, most_pods, "pods", "pods", told=told),
        _usage("containers", containers, most_containers, "containers", "pods", told=told),
    ]
    namespaces: Counter[str] = Counter()
    for profile, n in running:
        # Pods of DaemonSets come with the nodes, whose own threshold stands above.
        namespaces[profile.workload.namespace] += n * (profile.workload.kind != "DaemonSet")
    if namespaces:
        name, n = max(namespaces.items(), key=lambda item: (item[1], item[0]))
        most = limits.pods_per_namespace
        found.append(_usage("pods-per-namespace", n, most, "pods", "pods", f"namespace/{name}"))
    if nodes.nodes:
        count = len(nodes.nodes)
        room = sum(_room(node, limits) for node in nodes.nodes) / count
        told = "the mean over all nodes; their maxPods, and " + UPSTREAM
        found.append(
            _usage("pods-per-node", total / count, room, "pods", "pods_per_node", told=told)
        )
    return found


def _room(node: Node, limits: ClusterSize) -> float:
    """How many pods a node may hold: by its kubelet, and by what is tested."""
    tested = limits.pods_per_node
    if node.cpus:
        tested = min(tested, max(1, int(limits.pods_per_core * node.cpus)))
    return min(node.max_pods or tested, tested)


def of_services(services: Services, limits: ClusterSize) -> list[Usage]:
    found = [_usage("services", services.total, limits.services, "services", "services")]
    if services.by_namespace:
        name, n = max(services.by_namespace.items(), key=lambda item: (item[1], item[0]))
        most, subject = limits.services_per_namespace, f"namespace/{name}"
        found.append(_usage("services-per-namespace", n, most, "services", "services", subject))
    return found


def of_endpoints(endpoints: ServiceEndpoints, limits: ClusterSize) -> list[Usage]:
    """The largest Service that kube-proxy balances; headless ones are DNS records alone."""
    balanced = [b for b in endpoints.largest if not b.headless]
    if not balanced:
        return []
    largest = max(balanced, key=lambda b: (b.endpoints, b.subject))
    used, most = largest.endpoints, limits.endpoints_per_service
    return [_usage("endpoints-per-service", used, most, "endpoints", "pods", largest.subject)]


def of_objects(objects: EtcdObjects, limits: ClusterSize) -> list[Usage]:
    counted = {r.name: r.objects for r in objects.resources if r.objects is not None}
    told = f"{objects.provenance}; {UPSTREAM}"
    found = [
        _usage(name, counted[name], most, "objects", name, told=told)
        for name, most in (("namespaces", limits.namespaces), ("events", limits.events))
        if name in counted
    ]
    types = [r for r in objects.resources if r.name != "events" and _group(r) in BUILT_IN]
    if many := [r for r in types if r.objects]:
        r = max(many, key=lambda r: (r.objects or 0, r.name))
        most, driver = limits.objects_of_a_type, DRIVERS.get(r.name, r.name)
        used = r.objects or 0
        found.append(_usage("objects-of-a-type", used, most, "objects", driver, r.name, told))
    if large := [r for r in types if r.size_bytes]:
        r = max(large, key=lambda r: (r.size_bytes or 0, r.name))
        most, driver = limits.bytes_of_a_type, DRIVERS.get(r.name, r.name)
        found.append(
            _usage("bytes-of-a-type", r.size_bytes or 0, most, "bytes", driver, r.name, told)
        )
    return found


def _group(resource: StoredResource) -> str:
    return resource.name.partition(".")[2]


def _usage(
    limit_id: str,
    used: float,
    limit: float,
    unit: str,
    driver: str,
    subject: str = "cluster",
    told: str = UPSTREAM,
) -> Usage:
    return Usage(
        limit_id=limit_id,
        subject=subject,
        used=round(used, 2),
        limit=round(limit, 2),
        unit=unit,
        driver=driver,
        source=f"counted by the API server; {told}",
    )
