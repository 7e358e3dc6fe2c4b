"""Pods: whose they are, what is kept of them, and what is not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from k8sdiag.facts.pods import Container, DNSConfig, Pods, Profile, Served, Workload
from k8sdiag.model import Unavailable
from k8sdiag.sources import pods
from tests.scripted_api import Answer, listed, opened, refused

CONTAINER = {"name": "main", "image": "web:1", "imagePullPolicy": "IfNotPresent"}


def pod(
    name: str = "web-1",
    owner: str = "",
    *,
    node: str = "node-1",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    phase: str = "Running",
    **spec: Any,
) -> dict[str, Any]:
    """A pod as the API shows it; `owner` is "Kind/name"."""
    kind, _, owner_name = owner.partition("/")
    references = [{"apiVersion": "v1", "kind": kind, "name": owner_name, "controller": True}]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": labels or {},
            "annotations": annotations or {},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:spec": {}}}],
            **({"ownerReferences": references} if owner else {}),
        },
        "spec": {
            "containers": [CONTAINER],
            "dnsPolicy": "ClusterFirst",
            **({"nodeName": node} if node else {}),
            **spec,
        },
        "status": {"phase": phase},
    }


def collect(folder: Path, *pages: bytes | Answer) -> Pods:
    answers = [page if isinstance(page, Answer) else Answer(page) for page in pages]
    with opened(folder, *answers) as door:
        return pods.collect(door)


def only(fact: Pods) -> Profile:
    (profile,) = fact.profiles
    return profile


@pytest.mark.parametrize(
    ("found", "workload"),
    [
        pytest.param(pod(), "pod/shop/web-1", id="nobody's"),
        pytest.param(
            pod(owner="ReplicaSet/web-5d7", labels={"pod-template-hash": "5d7"}),
            "deployment/shop/web",
            id="a Deployment's",
        ),
        pytest.param(
            pod(owner="ReplicaSet/web-5d7"), "replicaset/shop/web-5d7", id="a ReplicaSet's"
        ),
        pytest.param(
            pod(owner="ReplicaSet/web-5d7", labels={"pod-template-hash": "other"}),
            "replicaset/shop/web-5d7",
            id="a ReplicaSet's that only looks like a Deployment's",
        ),
        pytest.param(
            pod(owner="ReplicaSet/web-5d7", labels={"rollouts-pod-template-hash": "5d7"}),
            "rollout/shop/web",
            id="an Argo Rollout's",
        ),
        pytest.param(pod(owner="StatefulSet/db"), "statefulset/shop/db", id="a StatefulSet's"),
        pytest.param(pod(owner="DaemonSet/cni"), "daemonset/shop/cni", id="a DaemonSet's"),
        pytest.param(pod(owner="Job/once"), "job/shop/once", id="a Job's"),
        pytest.param(pod(owner="Job/tidy-29391845"), "cronjob/shop/tidy", id="a CronJob's"),
        pytest.param(
            pod(owner="Job/import-2026"), "job/shop/import-2026", id="a Job's with a year"
        ),
        pytest.param(
            pod(
                "etcd-node-1",
                owner="Node/node-1",
                annotations={"kubernetes.io/config.mirror": "5e0"},
            ),
            "staticpod/shop/etcd",
            id="a static pod's mirror",
        ),
        pytest.param(pod(owner="Workflow/train"), "workflow/shop/train", id="an operator's"),
    ],
)
def test_whose_it_is(tmp_path: Path, found: dict[str, Any], workload: str) -> None:
    assert only(collect(tmp_path, listed(found))).workload.subject == workload


def test_what_is_kept_of_a_pod(tmp_path: Path) -> None:
    found = pod(
        owner="StatefulSet/db",
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["10.96.0.10"],
            "searches": ["corp.example.com"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "use-vc"}],
        },
        hostNetwork=True,
        priorityClassName="high",
        initContainers=[{"name": "init", "image": "init:1", "imagePullPolicy": "Always"}],
        imagePullSecrets=[{"name": "hub"}],
        volumes=[
            {"name": "scratch", "emptyDir": {}},
            {"name": "model", "image": {"reference": "model:1", "pullPolicy": "IfNotPresent"}},
        ],
    )

    assert only(collect(tmp_path, listed(found))) == Profile(
        workload=Workload("shop", "StatefulSet", "db"),
        dns_policy="None",
        dns_config=DNSConfig(
            nameservers=("10.96.0.10",),
            searches=("corp.example.com",),
            options=(("ndots", "2"), ("use-vc", "")),
        ),
        host_network=True,
        containers=(
            Container(image="init:1", pull_policy="Always", init=True),
            Container(image="web:1", pull_policy="IfNotPresent"),
        ),
        image_volumes=(Container(image="model:1", pull_policy="IfNotPresent"),),
        pull_secrets=True,
        priority_class="high",
        phase="Running",
    )


ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def running(name: str, *image_ids: str, **metadata: Any) -> dict[str, Any]:
    """A pod with a container for each image id; "" is one that has not started."""
    names = [f"c{i}" for i in range(len(image_ids))]
    found = pod(name, "ReplicaSet/web-5d7", labels={"pod-template-hash": "5d7"})
    found["metadata"] |= metadata
    found["spec"]["containers"] = [{**CONTAINER, "name": n, "image": f"{n}:1"} for n in names]
    statuses = [{"name": n, "imageID": i} for n, i in zip(names, image_ids, strict=True)]
    found["status"]["containerStatuses"] = statuses[::-1]  # the kubelet sorts them its own way
    return found


def test_what_containers_run_is_counted_by_name_and_digest(tmp_path: Path) -> None:
    fact = collect(
        tmp_path,
        listed(
            running("a", f"r.io/c0@{ONE}", ONE),
            running("b", f"docker-pullable://r.io/c0@{ONE}", ""),
            running("c", f"mirror.example/c0@{TWO}", f"docker://{ONE}"),
        ),
    )

    assert fact.served == (
        Served("c0:1", ONE, repository=True, containers=2),
        Served("c0:1", TWO, repository=True, containers=1),
        Served("c1:1", ONE, repository=False, containers=2),
    )
    assert len(fact.profiles) == 1


def test_when_pods_were_made(tmp_path: Path) -> None:
    fact = collect(
        tmp_path,
        listed(running("a", "", creationTimestamp="2026-03-01T12:00:00Z"), running("b", "")),
    )

    assert list(fact.created()) == [1772366400, 0]


def test_what_may_be_secret_is_not_kept(tmp_path: Path) -> None:
    secret = "s3cret-value"
    found = pod(
        "etcd-node-1",
        owner="Node/node-1",
        annotations={"kubernetes.io/config.mirror": secret, "note": secret},
        labels={"note": secret},
        containers=[
            {**CONTAINER, "env": [{"name": "PASSWORD", "value": secret}], "args": [secret]}
        ],
    )

    assert secret not in msgspec.json.encode(collect(tmp_path, listed(found))).decode()


def test_pods_of_one_template_share_a_profile_over_all_pages(tmp_path: Path) -> None:
    old = {"pod-template-hash": "5d7"}
    new = {"pod-template-hash": "6e8"}
    fact = collect(
        tmp_path,
        listed(
            pod("a", "ReplicaSet/web-5d7", labels=old, node="node-1"),
            pod("b", "ReplicaSet/web-5d7", labels=old, node="node-2"),
            token="t",
        ),
        listed(
            pod("c", "ReplicaSet/web-6e8", labels=new, node="node-1"),
            pod("d", "ReplicaSet/web-6e8", labels=new, node="", phase="Pending"),
            pod("e", "Job/once", node="node-1", phase="Succeeded"),
        ),
    )
    profile_of, node_of = fact.columns()

    assert [p.phase for p in fact.profiles] == ["Running", "Pending", "Succeeded"]
    assert list(profile_of) == [0, 0, 0, 1, 2]
    assert [fact.nodes[n] for n in node_of] == ["node-1", "node-2", "node-1", "", "node-1"]
    assert fact.counts() == {0: 3, 1: 1, 2: 1}
    # The one that is done counts no more, and the pending one is on no node yet.
    assert fact.scale() == {"pods": 4.0, "pods_per_node": 1.5}


def test_no_pods(tmp_path: Path) -> None:
    fact = collect(tmp_path, listed())

    assert (len(fact), fact.gaps, fact.scale()) == (0, {}, {"pods": 0.0})


def test_a_list_that_breaks_off_is_a_gap(tmp_path: Path) -> None:
    cut = Answer(b'{"items":[', cut=5)
    fact = collect(tmp_path, listed(pod(), token="t"), cut, cut)

    assert len(fact) == 1
    assert "broke off after 1: " in fact.gaps["pods"]


def test_pods_that_may_not_be_listed(tmp_path: Path) -> None:
    forbidden = refused(403, 'pods is forbidden: User "me" cannot list resource "pods"')

    with pytest.raises(Unavailable, match=r'^may not list "pods": grant "list" on "pods"'):
        collect(tmp_path, forbidden)


def test_a_quick_look_leaves_them_alone(tmp_path: Path) -> None:
    with opened(tmp_path, quick=True) as door, pytest.raises(Unavailable, match="quick"):
        pods.collect(door)
