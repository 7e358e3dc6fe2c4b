"""A cluster's worth of objects: nodes, workloads and pods of a realistic mix, always the same.

The sizes and proportions are those of a general-purpose cluster: many small stateless services
in some big deployments, a few daemons on every node, batch work, and one pool with very large
images. Everything is deterministic: the same arguments give the same objects.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

Object = dict[str, Any]

MiB, GiB = 2**20, 2**30
REGISTRY = "registry.example.com"
# (pool, share of the nodes, cpus, memory, disk)
POOLS = (
    ("general", 0.80, 16, 64 * GiB, 200 * GiB),
    ("memory", 0.15, 16, 256 * GiB, 200 * GiB),
    ("gpu", 0.05, 96, 1152 * GiB, 3500 * GiB),
)
NAMESPACES = ("shop", "search", "payments", "identity", "media", "analytics", "platform", "ml")
# Stands for what must never be kept: the snapshot is searched for it.
ENVIRONMENT_VALUE = "an-environment-value-that-nobody-may-keep"
ANNOTATION_VALUE = "an-annotation-text-that-nobody-may-keep"

DAEMONS = (  # name, image, compressed bytes, hostNetwork, dnsPolicy
    ("kube-proxy", "kube-proxy:v1.36.3", 30 * MiB, True, "ClusterFirst"),
    ("cni", "cni:v1.20", 110 * MiB, True, "Default"),
    ("node-exporter", "node-exporter:v1.10", 12 * MiB, True, "ClusterFirst"),
    ("log-agent", "log-agent:4.1", 95 * MiB, False, "ClusterFirst"),
    ("csi-node", "csi-node:1.50", 60 * MiB, True, "ClusterFirstWithHostNet"),
)

CONTROL_PLANE = {
    "kube-apiserver": ["--service-cluster-ip-range=10.96.0.0/16"],
    "kube-controller-manager": [
        "--allocate-node-cidrs=true",
        "--cluster-cidr=10.100.0.0/14",  # a /24 for each of 1,024 nodes
        "--service-cluster-ip-range=10.96.0.0/16",
    ],
}
SYSTEM = (
    ("kube-apiserver:v1.36.3", 28 * MiB),
    ("kube-controller-manager:v1.36.3", 22 * MiB),
    ("coredns:v1.14.0", 22 * MiB),
)
COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


class Workload:
    """A template with a number of replicas in one namespace."""

    def __init__(self, rng: random.Random, index: int) -> None:
        self.namespace = NAMESPACES[index % len(NAMESPACES)]
        self.pool = "gpu" if self.namespace == "ml" else rng.choice(["general"] * 5 + ["memory"])
        self.kind = rng.choices(("Deployment", "StatefulSet", "Job"), (80, 12, 8))[0]
        self.name = (
            f"{self.namespace}-{rng.choice(('api', 'web', 'worker', 'cache', 'sync'))}-{index}"
        )
        size = rng.randint(7000, 16000) if self.pool == "gpu" else rng.randint(40, 900)
        self.images = [(f"{REGISTRY}/{self.namespace}/{self.name}:1.{index % 17}", size * MiB)]
        if rng.random() < 0.4:
            self.images.append((f"{REGISTRY}/platform/proxy:1.29", 65 * MiB))
        self.pull_policy = "Always" if rng.random() < 0.15 else "IfNotPresent"
        self.dns: Object = rng.choices(
            (
                {},
                {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}},
                {"dnsPolicy": "Default"},
                {"hostNetwork": True},
                {
                    "dnsPolicy": "None",
                    "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["svc.cluster.local"]},
                },
                {"dnsConfig": {"searches": ["corp.example.com", "dc1.corp.example.com"]}},
            ),
            (84, 6, 2, 2, 1, 5),
        )[0]
        self.weight = (index + 1) ** -0.7  # a few big workloads, a long tail


def nodes(count: int, address_of: dict[str, tuple[str, int]] | None = None) -> list[Object]:
    """`count` nodes over the pools, without images; hold_images() adds those.

    `address_of`: per pool the address and port of a kubelet that answers for its nodes.
    """
    found: list[Object] = []
    for pool, share, cpus, memory, disk in POOLS:
        for _ in range(max(1, round(count * share))):
            i = len(found)
            address, port = (address_of or {}).get(
                pool, (f"10.{40 + i // 250}.{i % 250}.10", 10250)
            )
            name = f"{pool}-{i:04}"
            capacity = {
                "cpu": str(cpus),
                "memory": f"{memory // 1024}Ki",
                "ephemeral-storage": f"{disk // 1024}Ki",
                "pods": "110",
            }
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {
                        "name": name,
                        "labels": {
                            "kubernetes.io/hostname": name,
                            "kubernetes.io/os": "linux",
                            "kubernetes.io/arch": "amd64",
                            "karpenter.sh/nodepool": pool,
                            "topology.kubernetes.io/zone": f"zone-{'abc'[i % 3]}",
                        },
                        "annotations": {"example.com/note": ANNOTATION_VALUE},
                    },
                    "spec": {"podCIDR": f"10.{100 + i // 256}.{i % 256}.0/24"},
                    "status": {
                        "capacity": capacity,
                        "allocatable": capacity,
                        "conditions": [
                            _condition("Ready", "KubeletReady", "kubelet is posting ready status")
                        ],
                        "addresses": [
                            {"type": "InternalIP", "address": address},
                            {"type": "Hostname", "address": name},
                        ],
                        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                        "nodeInfo": {
                            "architecture": "amd64",
                            "bootID": f"00000000-0000-4000-8000-{i:012}",
                            "containerRuntimeVersion": "containerd://2.1.4",
                            "kernelVersion": "6.12.48",
                            "kubeProxyVersion": "",
                            "kubeletVersion": "v1.36.3",
                            "machineID": f"{i:032x}",
                            "operatingSystem": "linux",
                            "osImage": "Debian GNU/Linux 13 (trixie)",
                            "systemUUID": f"00000000-0000-4000-9000-{i:012}",
                        },
                    },
                }
            )
    return found


def pods(node_names: list[str], count: int, seed: int = 7) -> Iterator[Object]:
    """`count` pods on these nodes: the daemons on each, the rest spread over the workloads."""
    rng = random.Random(seed)
    for node in node_names:
        for name, image, _, host_network, policy in DAEMONS:
            spec = _spec(node, [f"{REGISTRY}/system/{image}"], "IfNotPresent")
            spec |= {
                "hostNetwork": host_network,
                "dnsPolicy": policy,
                "priorityClassName": "system-node-critical",
            }
            yield _pod("kube-system", f"{name}-{node}", ("DaemonSet", name), spec)
    by_pool = {pool: [n for n in node_names if n.startswith(pool + "-")] for pool, *_ in POOLS}
    workloads = [Workload(rng, i) for i in range(180)]
    left = count - len(node_names) * len(DAEMONS)
    for i, w in enumerate(rng.choices(workloads, [w.weight for w in workloads], k=left)):
        node = rng.choice(by_pool[w.pool] or node_names)
        spec = _spec(node, [image for image, _ in w.images], w.pull_policy) | w.dns
        suffix = f"{rng.getrandbits(40):010x}"
        owner, labels = (w.kind, w.name), {}
        if w.kind == "Deployment":
            template = _hash(w.name)
            owner, labels = ("ReplicaSet", f"{w.name}-{template}"), {"pod-template-hash": template}
        yield _pod(
            w.namespace, f"{owner[1]}-{i}-{suffix[:5]}", owner, spec, labels, done=w.kind == "Job"
        )


def sizes(seed: int = 7) -> dict[str, int]:
    """The compressed bytes of every image, by its name."""
    rng = random.Random(seed)
    found = {f"{REGISTRY}/system/{image}": size for _, image, size, _, _ in DAEMONS}
    found |= {f"{REGISTRY}/system/{image}": size for image, size in SYSTEM}
    for i in range(180):
        found |= dict(Workload(rng, i).images)
    return found


def system(node_names: list[str]) -> Iterator[tuple[str, Object]]:
    """(collection, object) of the control plane and the DNS, as kubeadm lays them out."""
    base = "/api/v1/namespaces/kube-system"
    for node in node_names[:3]:
        for component, flags in CONTROL_PLANE.items():
            pod = _pod(
                "kube-system",
                f"{component}-{node}",
                ("Node", node),
                _spec(node, [f"{REGISTRY}/system/{component}:v1.36.3"], "IfNotPresent"),
            )
            pod["metadata"]["labels"] = {"component": component, "tier": "control-plane"}
            pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = _hash(component)
            pod["spec"]["containers"][0] |= {"name": component, "command": [component, *flags]}
            pod["spec"] |= {"hostNetwork": True, "priorityClassName": "system-node-critical"}
            yield f"{base}/pods", pod
    labels = {"k8s-app": "kube-dns"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]
    service = {"selector": labels, "clusterIP": "10.96.0.10", "ports": ports}
    yield f"{base}/services", {"metadata": {"name": "kube-dns", "labels": labels}, "spec": service}
    slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
    named = {"name": "kube-dns-x", "labels": {"kubernetes.io/service-name": "kube-dns"}}
    answering = [{"addresses": [f"10.100.{i}.2"]} for i in range(2)]
    yield slices, {"metadata": named, "addressType": "IPv4", "endpoints": answering}
    yield f"{base}/configmaps", {"metadata": {"name": "coredns"}, "data": {"Corefile": COREFILE}}
    container = {
        "name": "coredns",
        "image": f"{REGISTRY}/system/coredns:v1.14.0",
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}},
    }
    template: Object = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "dnsPolicy": "Default"},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    yield (
        "/apis/apps/v1/namespaces/kube-system/deployments",
        {"metadata": {"name": "coredns"}, "spec": spec},
    )
    for i, node in enumerate(node_names[3:5]):
        pod = _pod(
            "kube-system",
            f"coredns-{_hash('coredns')}-{i}",
            ("ReplicaSet", f"coredns-{_hash('coredns')}"),
            template["spec"] | {"nodeName": node},
            {**labels, "pod-template-hash": _hash("coredns")},
        )
        pod["status"]["conditions"] = [_condition("Ready", "", "")]
        yield f"{base}/pods", pod


def hold_images(nodes: Iterable[Object], pods: Iterable[Object]) -> None:
    """Write into each node's status the images of its pods, as a kubelet does: 50 at most."""
    held: dict[str, set[str]] = {}
    for pod in pods:
        images = {container["image"] for container in pod["spec"]["containers"]}
        held.setdefault(pod["spec"]["nodeName"], set()).update(images)
    size = sizes()
    for node in nodes:
        names = sorted(held.get(node["metadata"]["name"], ()), key=lambda i: (-size[i], i))
        node["status"]["images"] = [
            {"names": [_digest(name), name], "sizeBytes": size[name]} for name in names[:50]
        ]


def _digest(image: str) -> str:
    return f"{image.rpartition(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _condition(kind: str, reason: str, message: str) -> Object:
    when = "2026-01-01T00:00:00Z"
    times = {"lastHeartbeatTime": when, "lastTransitionTime": when}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}


def _spec(node: str, images: list[str], policy: str) -> Object:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    containers = [
        {
            "name": f"c{i}",
            "image": image,
            "imagePullPolicy": policy,
            "args": ["--listen=:8080", "--log-level=info"],
            "env": [
                {"name": "DATABASE_PASSWORD", "value": ENVIRONMENT_VALUE},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "resources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"memory": "256Mi"},
            },
            "ports": [{"containerPort": 8080 + i, "name": f"http{i}"}],
            "readinessProbe": probe,
            "livenessProbe": probe,
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        }
        for i, image in enumerate(images)
    ]
    return {
        "nodeName": node,
        "containers": containers,
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }


def _pod(
    namespace: str,
    name: str,
    owner: tuple[str, str],
    spec: Object,
    labels: dict[str, str] | None = None,
    *,
    done: bool = False,
) -> Object:
    kind, owner_name = owner
    group = {"Job": "batch/v1", "Node": "v1"}.get(kind, "apps/v1")
    uid = f"{_hash(owner_name)[:8]}-0000-4000-8000-000000000000"
    reference = {
        "apiVersion": group,
        "kind": kind,
        "name": owner_name,
        "uid": uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": owner_name, **(labels or {})},
            "annotations": {"example.com/note": ANNOTATION_VALUE},
            "ownerReferences": [reference],
        },
        "spec": {"terminationGracePeriodSeconds": 30, **spec},
        "status": {
            "phase": "Succeeded" if done else "Running",
            "containerStatuses": [_container_status(c, done) for c in spec["containers"]],
        },
    }


def _container_status(container: Object, done: bool) -> Object:
    when = "2026-01-01T00:00:00Z"
    ended = {"terminated": {"exitCode": 0, "startedAt": when, "finishedAt": when}}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": _digest(container["image"]),
        "ready": not done,
        "restartCount": 0,
        "state": ended if done else {"running": {"startedAt": when}},
    }
