"""Reading from a real kube-apiserver: pages, refusals, logins that fail, an expired list."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import Api
from k8sdiag.readers.kubeconfig import load
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import nodes, pods, workloads
from tests.real import apiserver, population
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import program
from tests.real.components import KUBERNETES
from tests.real.conftest import required
from tests.real.pki import Authority

PODS = Permission(resource="pods")
NAMESPACE = "reads"


class Item(Struct):
    metadata: dict[str, Any]


@contextmanager
def opened(path: Path) -> Iterator[Kubernetes]:
    door = Kubernetes.open(path)
    try:
        yield door
    finally:
        door.close()


@pytest.fixture(scope="module")
def admin(api_server: ApiServer) -> Path:
    return api_server.kubeconfig("reader", [ADMINS])


@pytest.fixture(scope="module")
def cluster(api_server: ApiServer) -> Iterator[tuple[list[str], int]]:
    """Nodes and pods of a realistic mix; gives the nodes' names and the number of pods."""
    made: list[str] = []
    found = population.nodes(20)
    names = [node["metadata"]["name"] for node in found]
    try:
        for namespace in (*population.NAMESPACES, NAMESPACE):
            # Another test may have left one behind: no controller runs that would end it.
            api_server.admin.raw("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for node in found:
            api_server.admin.create("/api/v1/nodes", node)
            made.append(f"/api/v1/nodes/{node['metadata']['name']}")
            api_server.admin.put_status(made[-1], node)
        for pod in population.pods(names, 250):
            folder = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
            api_server.admin.create(folder, pod)
            made.append(f"{folder}/{pod['metadata']['name']}?gracePeriodSeconds=0")
        # The server is shared: a pod may be left of a test before.
        yield names, len(api_server.admin.get("/api/v1/pods")["items"])
    finally:
        for path in reversed(made):
            api_server.admin.delete(path)


def test_pages_are_asked_ahead_and_counted(admin: Path, cluster: tuple[list[str], int]) -> None:
    told: list[tuple[str, int, int | None]] = []
    with opened(admin) as door:
        assert door.server == f"v{KUBERNETES}"
        door.progress = lambda what, done, total: told.append((what, done, total))
        pages = door.pages("/api/v1/nodes", Item, nodes.LIST, limit=8)
        before = door.cost.api_requests
        first = next(pages)
        ahead = door.cost.api_requests - before
        rest = [len(page) for page in pages]

    assert ahead == 2  # its own and, by the token in the head of a real reply, the next one's
    assert [len(first), *rest] == [8, 8, 4]
    assert told == [("nodes", 8, 20), ("nodes", 16, 20), ("nodes", 20, 20)]


def test_the_sources_see_what_is_there(admin: Path, cluster: tuple[list[str], int]) -> None:
    names, count = cluster
    with opened(admin) as door:
        seen = nodes.collect(door)
        fact = pods.collect(door)

    assert sorted(node.name for node in seen.nodes) == sorted(names)
    assert {node.pool for node in seen.nodes} == {"general", "memory", "gpu"}
    assert all(node.addresses and node.max_pods == 110 for node in seen.nodes)
    assert (len(fact), fact.gaps) == (count, {})
    assert {p.workload.kind for p in fact.profiles} >= {"Deployment", "DaemonSet", "StatefulSet"}
    kept = msgspec.json.encode((seen, fact)).decode()
    assert population.ENVIRONMENT_VALUE not in kept
    assert population.ANNOTATION_VALUE not in kept


def test_a_packed_list(admin: Path, cluster: tuple[list[str], int]) -> None:
    api = Api(load(admin, None), gzip=True)
    reply = api.ask("/api/v1/pods?limit=1000", PODS, time.monotonic() + 15)
    api.close()

    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.wire_bytes < len(reply.body) / 4
    assert len(json.loads(reply.body)["items"]) == cluster[1]


def test_a_quick_look_knows_the_templates(api_server: ApiServer, admin: Path) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    folder = "/apis/apps/v1/namespaces/default/deployments"
    api_server.admin.create(folder, {"metadata": {"name": "web"}, "spec": spec})
    try:
        with opened(admin) as door:
            door.quick = True
            fact = workloads.collect(door)
    finally:
        api_server.admin.delete(f"{folder}/web")

    found = {fact.profiles[p].workload.subject: n for p, n in fact.counts().items()}
    assert found["deployment/default/web"] == 3
    web = next(p for p in fact.profiles if p.workload.name == "web")
    assert web.dns_policy == "ClusterFirst"
    assert web.containers[0].pull_policy == "IfNotPresent"


def test_a_user_who_may_nothing_is_told_verb_and_resource(api_server: ApiServer) -> None:
    with opened(api_server.kubeconfig("nobody")) as door:
        with pytest.raises(Unavailable, match=r'^may not list "nodes": grant "list" on "nodes" '):
            nodes.collect(door)
        with pytest.raises(Unavailable, match=r'^may not list "pods": grant "list" on "pods" '):
            pods.collect(door)
        door.quick = True
        with pytest.raises(Unavailable, match=r'grant "list" on "jobs.batch" '):
            workloads.collect(door)


def test_a_token_that_is_wrong(api_server: ApiServer, tmp_path: Path) -> None:
    config = json.loads(api_server.kubeconfig("nobody").read_text())
    config["users"][0]["user"] = {"token": "s3cret-t0ken"}
    path = tmp_path / "config"
    path.write_text(json.dumps(config))

    with pytest.raises(Unavailable, match=r"refuses the credentials of .*; log in again") as caught:
        Kubernetes.open(path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("case", ["expired", "signed by another CA"])
def test_a_client_certificate_that_is_refused(
    api_server: ApiServer, tmp_path: Path, case: str
) -> None:
    if case == "expired":
        day = timedelta(days=-1)
        pair = api_server.authority.issue("late", hosts=(), lifetime=day, file="late")
    else:
        pair = Authority(tmp_path / "other").issue("stranger", hosts=())

    with pytest.raises(Unavailable, match=r"refuses the credentials of .*; log in again"):
        Kubernetes.open(api_server.kubeconfig("late", pair=pair))


def test_a_wrong_ca(api_server: ApiServer, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").ca

    with pytest.raises(Unavailable, match="not signed by the CA of the kubeconfig"):
        Kubernetes.open(api_server.kubeconfig("reader", ca=other))


def test_a_list_that_expires_on_the_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without its cache of past states, so that a compaction of etcd ends the list at once."""
    folder = tmp_path_factory.mktemp("apiserver")
    options = ["--feature-gates=ListFromCacheSnapshot=false"]
    with required(), apiserver.started(folder, extra_args=options) as server:
        for i in range(6):
            server.admin.create("/api/v1/nodes", {"metadata": {"name": f"node-{i}"}})
        with opened(server.kubeconfig("reader", [ADMINS])) as door:
            pages = door.pages("/api/v1/nodes", Item, nodes.LIST, limit=2)
            first = [item.metadata["name"] for item in next(pages)]  # the second is on its way
            _compact(server)
            rest = [item.metadata["name"] for page in pages for item in page]

    assert [*first, *rest] == [f"node-{i}" for i in range(6)]
    assert "resumed" in pages.provenance


def _compact(server: ApiServer) -> None:
    """Compact etcd to now: a list that began before has no past any more."""
    server.admin.create("/api/v1/namespaces", {"metadata": {"name": "later"}})
    now = server.admin.get("/api/v1/namespaces")["metadata"]["resourceVersion"]
    store = server.etcd
    login = [f"--cacert={store.ca}", f"--cert={store.cert}", f"--key={store.key}"]
    endpoint = f"--endpoints={store.endpoints[0]}"
    subprocess.run([program("etcdctl"), endpoint, *login, "compact", now], check=True)
