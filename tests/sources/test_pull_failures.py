"""Failed pulls: events of both APIs, and pods as an API server tells them."""

from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.pull_failures import PullFailures
from k8sdiag.model import Unavailable
from k8sdiag.sources import _events, pull_failures
from tests.scripted_api import Answer, listed, opened, refused

IMAGE = "r.example.com/web:1"
SECRET = "abcdef.0123456789abcdef"
QPS = f'Failed to pull image "{IMAGE}": pull QPS exceeded'


def event(message: str | None = QPS, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1.17", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
        "reason": "Failed",
        "message": message,
        "source": {"component": "kubelet", "host": "node-1"},
        "type": "Warning",
        **fields,
    }


def pod(reason: str, message: str = "", *, init: bool = False, name: str = "web-5d4-x") -> Any:
    waits = {
        "name": "web",
        "image": IMAGE,
        "imageID": "",
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    runs = {"name": "log", "image": "log:1", "state": {"running": {"startedAt": "2026-01-01"}}}
    owner = {"kind": "ReplicaSet", "name": "web-5d4", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"pod-template-hash": "5d4"},
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": IMAGE}]},
        "status": {
            "phase": "Pending",
            "containerStatuses": [runs] if init else [waits, runs],
            **({"initContainerStatuses": [waits]} if init else {}),
        },
    }


def collect(
    folder: Path, events: bytes | Answer, pods: bytes | Answer | None = None
) -> PullFailures:
    answers = [a if isinstance(a, Answer) else Answer(a) for a in (events, pods or listed())]
    with opened(folder, *answers) as door:
        return pull_failures.collect(door)


def test_nothing_failed(tmp_path: Path) -> None:
    found = collect(tmp_path, listed(), listed(pod("ContainerCreating")))

    assert (found.failures, found.gaps) == ((), {})
    assert found.provenance == "0 events of reason Failed, 1 pending pods"


def test_other_components_and_other_texts_are_no_failures(tmp_path: Path) -> None:
    found = collect(
        tmp_path,
        listed(
            event(source={"component": "somebody"}),
            event("Error: ErrImagePull"),
            event("Error: ImagePullBackOff"),
            event(message=None),
        ),
    )

    assert found.failures == ()


def test_events_add_up_by_cause_image_and_namespace(tmp_path: Path) -> None:
    series = {"count": 7, "lastObservedTime": "2026-11-21T10:00:30.000000Z"}
    found = collect(
        tmp_path,
        listed(
            event(count=4, lastTimestamp="2026-11-21T10:00:00Z"),
            event(
                source={},
                reportingComponent="kubelet",
                reportingInstance="node-2",
                eventTime="2026-11-21T09:00:00.000000Z",
                series=series,
                count=None,
            ),
            event(f'Failed to pull image "{IMAGE}": no space left on device'),
        ),
    )

    full, qps = found.failures
    assert (full.cause, full.count, full.nodes) == ("disk-full", 1, ("node-1",))
    assert (qps.cause, qps.count, qps.nodes) == ("over-qps", 11, ("node-1", "node-2"))
    assert qps.last_at == 1795255230.0
    assert (qps.image, qps.namespace, qps.workload) == (IMAGE, "shop", "")


def test_pods_that_wait_are_counted_by_workload(tmp_path: Path) -> None:
    error = f"rpc error: code = NotFound desc = {IMAGE}: not found, token {SECRET}"
    found = collect(
        tmp_path,
        listed(),
        listed(
            pod("ErrImagePull", error),
            pod("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {error}'),
            pod("ErrImagePull", error, init=True),
        ),
    )

    (failure,) = found.failures
    assert (failure.cause, failure.waiting, failure.count) == ("not-found", 3, 0)
    assert failure.workload == "deployment/shop/web"
    assert SECRET not in repr(found)


def test_what_is_asked_for(tmp_path: Path) -> None:
    answers = Answer(listed()), Answer(listed(kind="EventList"))
    with opened(tmp_path, *answers) as door:
        pull_failures.collect(door)
        cost = door.cost

    assert cost.api_requests == 3  # with /version


def test_a_bound_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "MOST", 2)

    # The second page is on its way before the first is looked at, and its reply is let go.
    pages = listed(event(), event(), token="more"), listed(event()), listed()
    with opened(tmp_path, *map(Answer, pages)) as door:
        found = pull_failures.collect(door)

    assert found.gaps == {"events": "only 2 were read, to spare the API server"}
    assert found.failures[0].count == 2


def test_what_may_not_be_read_is_a_gap(tmp_path: Path) -> None:
    found = collect(tmp_path, refused(403, "forbidden"), listed(pod("ErrImageNeverPull")))

    assert 'may not list "events"' in found.gaps["events"]
    assert [f.cause for f in found.failures] == ["never-pulled"]


def test_who_may_read_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r'may not list "events".*may not list "pods"'):
        collect(tmp_path, refused(403, "forbidden"), refused(403, "forbidden"))
