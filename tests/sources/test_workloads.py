"""The quick look: templates times replicas, and the pods that do not run."""

from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.pods import Pods
from k8sdiag.model import Unavailable
from k8sdiag.sources import workloads
from tests.scripted_api import Answer, listed, opened, refused
from tests.sources.test_pods import CONTAINER, pod

FORBIDDEN = refused(403, "forbidden")


def workload(name: str, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Any:
    template = {"spec": {"containers": [CONTAINER], "dnsPolicy": "ClusterFirst"}}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": template, **spec},
        "status": status or {},
    }


def collect(folder: Path, *answers: Answer) -> Pods:
    with opened(folder, *answers, quick=True) as door:
        return workloads.collect(door)


def kinds(fact: Pods) -> dict[str, int]:
    return {
        f"{fact.profiles[p].workload.subject} {fact.profiles[p].phase}": n
        for p, n in fact.counts().items()
    }


def test_templates_stand_for_their_pods(tmp_path: Path) -> None:
    fact = collect(
        tmp_path,
        Answer(listed()),
        Answer(listed(workload("web", {"replicas": 30}), workload("one", {}))),
        Answer(listed(workload("db", {"replicas": 3}), workload("off", {"replicas": 0}))),
        Answer(listed(workload("cni", {}, {"desiredNumberScheduled": 50}))),
        Answer(
            listed(
                workload("once", {}, {"active": 2}),
                workload("done", {}, {"succeeded": 1}),
                workload("tidy-29391845", {}, {"active": 1}),
            )
        ),
    )

    assert kinds(fact) == {
        "deployment/shop/web Running": 30,
        "deployment/shop/one Running": 1,
        "statefulset/shop/db Running": 3,
        "daemonset/shop/cni Running": 50,
        "job/shop/once Running": 2,
        "cronjob/shop/tidy Running": 1,
    }
    assert fact.nodes == ("",)
    # Which node runs what is not known, so there is no number of pods per node.
    assert fact.scale() == {"pods": 87.0}


def test_a_pod_that_does_not_run_is_counted_once(tmp_path: Path) -> None:
    labels = {"pod-template-hash": "5d7"}
    waiting = [
        pod(f"w{i}", "ReplicaSet/web-5d7", labels=labels, phase="Pending", node=node)
        for i, node in enumerate(("node-1", ""))
    ]
    empty = Answer(listed())
    web = Answer(listed(workload("web", {"replicas": 5})))
    fact = collect(tmp_path, Answer(listed(*waiting)), web, empty, empty, empty)

    assert kinds(fact) == {"deployment/shop/web Pending": 2, "deployment/shop/web Running": 3}
    assert fact.nodes == ("node-1", "")


def test_two_jobs_of_one_cronjob_share_its_pods_that_do_not_run(tmp_path: Path) -> None:
    waiting = pod("w", "Job/tidy-29391845", phase="Pending")
    jobs = [workload(f"tidy-2939184{i}", {}, {"active": 1}) for i in (5, 6)]
    empty = Answer(listed())
    fact = collect(tmp_path, Answer(listed(waiting)), empty, empty, empty, Answer(listed(*jobs)))

    assert kinds(fact) == {"cronjob/shop/tidy Pending": 1, "cronjob/shop/tidy Running": 1}


def test_it_always_says_what_it_does_not_see(tmp_path: Path) -> None:
    fact = collect(tmp_path, *[Answer(listed())] * 5)

    assert fact.gaps == {"pods": workloads.UNSEEN}


def test_a_kind_that_may_not_be_listed_is_a_gap(tmp_path: Path) -> None:
    empty = Answer(listed())
    fact = collect(tmp_path, FORBIDDEN, FORBIDDEN, empty, empty, empty)

    assert fact.gaps.keys() == {"pods", "pods that do not run", "deployments"}
    assert fact.gaps["deployments"].startswith('may not list "deployments.apps": grant "list" on')


def test_nothing_may_be_listed(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        collect(tmp_path, *[FORBIDDEN] * 5)

    for resource in ("pods", "deployments.apps", "daemonsets.apps", "jobs.batch"):
        assert f'may not list "{resource}"' in str(caught.value)


def test_a_full_look_does_without(tmp_path: Path) -> None:
    with opened(tmp_path) as door, pytest.raises(Unavailable, match="--quick"):
        workloads.collect(door)
