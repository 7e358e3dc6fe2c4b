"""A large cluster as pages on disk: 150,000 pods of 5 to 10 KB and 5,000 nodes.

The objects have the fields that a real API server sends with each, managedFields above all, for
these are what makes reading slow. Pages lie as they go over the wire: chunked, one chunk an
item, as API servers from 1.33 on send them. Everything is the same at every run.
"""

import base64
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]

VERSION = "v1.36.3"  # what the server says it is; from 1.34 on k8sdiag asks for 1,000 a page
POD_PAGE = 1000
NODE_PAGE = 200
NODES = 5_000
WORKLOADS = 3_000
NAMESPACES = 400
SIZES = {"large": 150_000, "small": 15_000}  # pods
# What admission and the scheduler set has no manager.
UNMANAGED = {"volumes", "tolerations", "nodeName", "serviceAccount", "priority", "preemptionPolicy"}
TIME = "2026-03-01T12:00:00Z"


def write(folder: Path) -> None:
    """Make the pages of both sizes, and expected.json: what a reader must have seen."""
    rng = random.Random(1)
    images = [
        f"registry.example.com/team-{i % 90}/service-{i // 4}:1.{i % 4}.{i % 13}"
        for i in range(3_700)
    ]
    write_list(folder / "nodes", "NodeList", NODE_PAGE, nodes(rng, images), NODES)
    workloads = [Workload(rng, index, images) for index in range(WORKLOADS)]
    expected = {}
    for size, count in SIZES.items():
        chosen = rng.choices(workloads, [w.weight for w in workloads], k=count)
        pods = (workload.pod(rng) for workload in chosen)
        write_list(folder / size, "PodList", POD_PAGE, pods, count)
        expected[size] = dict(sorted(Counter(w.subject for w in chosen).items()))
    (folder / "expected.json").write_text(json.dumps(expected))


def token(page: int) -> str:
    """A continue token, of the length that real ones have."""
    return base64.b64encode(json.dumps({"rv": 1234567, "start": f"{page:0>60}"}).encode()).decode()


def write_list(folder: Path, kind: str, size: int, items: Iterable[bytes], count: int) -> None:
    folder.mkdir(parents=True)
    source = iter(items)
    pages = -(-count // size)
    for page in range(pages):
        remaining = count - (page + 1) * size
        metadata: Object = {"resourceVersion": "1234567"}
        if remaining > 0:
            metadata |= {"continue": token(page + 1), "remainingItemCount": remaining}
        head = {"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": []}
        with (folder / f"{page:04}").open("wb") as out:
            out.write(_chunk(_json(head)[:-2]))
            for index in range(min(size, size + remaining)):
                out.write(_chunk((b"," if index else b"") + next(source)))
            out.write(_chunk(b"]}\n") + b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Workload:
    """One template; pod() fills in what differs from pod to pod."""

    def __init__(self, rng: random.Random, index: int, images: list[str]) -> None:
        self.namespace = f"namespace-{index % NAMESPACES}"
        self.weight = (index + 1) ** -0.6  # a few big ones, a long tail
        self.name = f"service-{index}"
        self.hash = f"{rng.getrandbits(32):x}"
        self.kind = rng.choices(("ReplicaSet", "StatefulSet", "DaemonSet"), (85, 10, 5))[0]
        owner = f"{self.name}-{self.hash}" if self.kind == "ReplicaSet" else self.name
        self.subject = (
            f"{'deployment' if self.kind == 'ReplicaSet' else self.kind.lower()}/"
            f"{self.namespace}/{self.name}"
        )
        template = pod(rng, self.namespace, owner, self.kind, self.hash, rng.sample(images, 2))
        self._parts = _json(template).split(b"~")

    def pod(self, rng: random.Random) -> bytes:
        number = rng.getrandbits(64)
        values = {
            b"SUFFIX": f"{number % 60_000_000:x}",
            b"UID": f"{number:016x}-4000-8000-{number % 10**12:012}",
            b"NODE": f"node-{number % NODES:04}.example.internal",
            b"IP": f"10.{number % 250}.{number // 7 % 250}.{number // 11 % 250}",
        }
        fill = {name: value.encode() for name, value in values.items()}
        return b"".join(fill.get(part, part) for part in self._parts)


def pod(
    rng: random.Random, namespace: str, owner: str, kind: str, digest: str, images: list[str]
) -> Object:
    """A pod whose differing parts stand between tildes."""
    names = ["main", "sidecar"][: rng.choices((1, 2), (60, 40))[0]]
    environment = [
        {"name": f"SETTING_{i}", "value": f"value-{rng.getrandbits(40):x}"}
        for i in range(rng.randint(2, 12))
    ]
    probe = {
        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    mount = {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    containers = [
        {
            "name": name,
            "image": images[i],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "env": environment[: None if name == "main" else 2],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [{"name": "kube-api-access-x7k2p", **mount}],
            **({"livenessProbe": probe, "readinessProbe": probe} if name == "main" else {}),
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {"allowPrivilegeEscalation": False},
        }
        for i, name in enumerate(names)
    ]
    labels = {"app": owner, "team": namespace, "app.kubernetes.io/managed-by": "Helm"}
    if kind == "ReplicaSet":
        labels["pod-template-hash"] = digest
    spec: Object = {
        "volumes": [_token_volume()],
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeName": "~NODE~",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    if rng.random() < 0.1:
        spec["dnsConfig"] = {"options": [{"name": "ndots", "value": "2"}]}
    managed = {key: value for key, value in spec.items() if key not in UNMANAGED}
    metadata = {
        "name": f"{owner}-~SUFFIX~",
        "generateName": f"{owner}-",
        "namespace": namespace,
        "uid": "~UID~",
        "resourceVersion": "1234567",
        "creationTimestamp": TIME,
        "labels": labels,
        "annotations": {"prometheus.io/scrape": "true", "checksum/config": f"{digest * 8}"},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "name": owner,
                "uid": "~UID~",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
        "managedFields": [
            _managed("kube-controller-manager", {"metadata": {"labels": labels}, "spec": managed}),
            _managed("kubelet", {"status": _status(containers)}, "status"),
        ],
    }
    return {"metadata": metadata, "spec": spec, "status": _status(containers)}


def _token_volume() -> Object:
    return {
        "name": "kube-api-access-x7k2p",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [_item("ca.crt")]}},
                {"downwardAPI": {"items": [_item("namespace")]}},
            ],
            "defaultMode": 420,
        },
    }


def _item(path: str) -> Object:
    return {"key": path, "path": path}


def _status(containers: list[Object]) -> Object:
    return {
        "phase": "Running",
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": TIME,
                "observedGeneration": 1,
            }
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
        ],
        "hostIP": "10.0.0.1",
        "podIP": "~IP~",
        "podIPs": [{"ip": "~IP~"}],
        "startTime": TIME,
        "containerStatuses": [
            {
                "name": container["name"],
                "state": {"running": {"startedAt": TIME}},
                "lastState": {},
                "ready": True,
                "restartCount": 0,
                "image": container["image"],
                "imageID": f"{container['image'].rpartition(':')[0]}@sha256:" + "c0de" * 16,
                "containerID": "containerd://" + "beef" * 16,
                "started": True,
            }
            for container in containers
        ],
        "qosClass": "Burstable",
    }


def _managed(manager: str, fields: Object, subresource: str = "") -> Object:
    """One manager's fields, in the notation of server-side apply: f:name, k:{key}."""
    entry: Object = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields(fields),
    }
    return {**entry, "subresource": subresource} if subresource else entry


def _fields(value: object) -> Object:
    if isinstance(value, dict):
        return {f"f:{key}": _fields(inner) for key, inner in value.items()}
    if isinstance(value, list):
        found: Object = {}
        for inner in value:
            if isinstance(inner, dict):
                key = next(k for k in ("name", "type", "ip", "key", *inner) if k in inner)
                name = json.dumps({key: inner[key]}, separators=(",", ":"))
                found[f"k:{name}"] = {".": {}, **_fields(inner)}
        return found
    return {}


def nodes(rng: random.Random, images: list[str]) -> Iterator[bytes]:
    for i in range(NODES):
        held = rng.sample(images, 50)
        labels = {
            "kubernetes.io/hostname": f"node-{i:04}",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m5.4xlarge",
            "topology.kubernetes.io/zone": f"zone-{i % 3}",
            "eks.amazonaws.com/nodegroup": f"pool-{i % 12}",
        }
        status = {
            "capacity": {"cpu": "16", "memory": "64332040Ki", "pods": "110"},
            "allocatable": {"cpu": "15890m", "memory": "61275404Ki", "pods": "110"},
            "conditions": [
                {
                    "type": kind,
                    "status": "True" if kind == "Ready" else "False",
                    "lastHeartbeatTime": TIME,
                    "lastTransitionTime": TIME,
                    "reason": f"Kubelet{kind}",
                    "message": f"kubelet says {kind}",
                }
                for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
            ],
            "addresses": [
                {"type": "InternalIP", "address": f"10.{i // 250}.{i % 250}.9"},
                {"type": "Hostname", "address": f"node-{i:04}.example.internal"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "kernelVersion": "6.12.40",
                "osImage": "Bottlerocket OS 1.50.0",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": VERSION,
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
            "images": [
                {
                    "names": [
                        f"{name.rpartition(':')[0]}@sha256:{sum(name.encode()):064x}",
                        name,
                    ],
                    "sizeBytes": 40_000_000 + sum(name.encode()) * 1000,
                }
                for name in held
            ],
        }
        metadata = {
            "name": f"node-{i:04}.example.internal",
            "uid": f"{i:08}-0000-4000-8000-000000000000",
            "resourceVersion": "1234567",
            "creationTimestamp": TIME,
            "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            "managedFields": [
                _managed("kubelet", {"metadata": {"labels": labels}}),
                _managed("kubelet", {"status": status}, "status"),
            ],
        }
        yield _json(
            {"metadata": metadata, "spec": {"providerID": f"aws:///i-{i:x}"}, "status": status}
        )
