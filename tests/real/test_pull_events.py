"""Pulls and what runs, read from a real kube-apiserver that was told of both."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8sdiag.facts.pods import Served
from k8sdiag.facts.pulls import Pull
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import pods, pull_events
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.population import Object

NAMESPACE = "pulls"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
PULLED = 'Successfully pulled image "r.io/a:1" in 20s (30s including waiting)'
REGARDING = {"kind": "Pod", "name": "web-1", "namespace": NAMESPACE}


@pytest.fixture(scope="module")
def door(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    api_server.admin.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    opened = Kubernetes.open(Path(api_server.kubeconfig("puller", [ADMINS])))
    try:
        yield opened
    finally:
        opened.close()
        api_server.admin.delete(f"/api/v1/namespaces/{NAMESPACE}")


def core_event(name: str, message: str, reason: str = "Pulled") -> Object:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "involvedObject": {**REGARDING, "fieldPath": "spec.containers{web}"},
        "reason": reason,
        "message": message,
        "type": "Normal",
        "source": {"component": "kubelet", "host": "node-1"},
    }


def test_pulls_are_found_among_other_events(api_server: ApiServer, door: Kubernetes) -> None:
    new_event = {
        "metadata": {"name": "new", "namespace": NAMESPACE},
        "regarding": REGARDING,
        "reason": "Pulled",
        "note": f"{PULLED}. Image size: 2000000000 bytes.",
        "type": "Normal",
        "action": "Pulling",
        "eventTime": "2026-03-01T12:00:00.000000Z",
        "reportingController": "kubelet",
        "reportingInstance": "node-2",
    }
    made = [core_event("old", PULLED), core_event("other", PULLED, reason="Scheduled")]
    made += [core_event("there", 'Container image "r.io/a:1" already present on machine')]
    try:
        for event in made:
            api_server.admin.create(EVENTS, event)
        api_server.admin.create(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events", new_event)

        found = [p for p in pull_events.collect(door).pulls if p.image == "r.io/a:1"]
    finally:
        for name in ("old", "other", "there", "new"):
            api_server.admin.raw("DELETE", f"{EVENTS}/{name}")

    old = Pull(image="r.io/a:1", node="node-1", seconds=20.0, total_seconds=30.0)
    new = Pull(
        image="r.io/a:1",
        node="node-2",
        seconds=20.0,
        total_seconds=30.0,
        size_bytes=2_000_000_000,
    )
    assert sorted(found, key=lambda p: p.node) == [old, new]


def test_what_runs_and_when_it_was_made(api_server: ApiServer, door: Kubernetes) -> None:
    folder = f"/api/v1/namespaces/{NAMESPACE}/pods"
    digest = "sha256:" + "a" * 64
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "runs", "namespace": NAMESPACE},
        "spec": {"nodeName": "node-9", "containers": [{"name": "web", "image": "r.io/web:1"}]},
    }
    status: Object = {"name": "web", "image": "r.io/web:1", "imageID": f"r.io/web@{digest}"}
    status |= {"ready": True, "restartCount": 0}
    before = int(time.time())
    try:
        made = api_server.admin.create(folder, pod)
        running = {"phase": "Running", "containerStatuses": [status]}
        api_server.admin.put_status(f"{folder}/runs", made | {"status": running})

        fact = pods.collect(door)
    finally:
        api_server.admin.raw("DELETE", f"{folder}/runs?gracePeriodSeconds=0")

    here = [i for i, node in enumerate(fact.columns()[1]) if fact.nodes[node] == "node-9"]
    assert [before <= fact.created()[i] <= time.time() for i in here] == [True]
    served = Served("r.io/web:1", digest, repository=True, containers=1)
    assert [s for s in fact.served if s.image == "r.io/web:1"] == [served]
