"""Events of kubelets are listed once, whoever wants them, and not for ever."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import _events, node_resolv_conf_events, pull_events, pull_failures
from tests.scripted_api import Answer, ScriptedApi, kubeconfig, listed, scripted

ALL = (
    "source=kubelet,involvedObject.kind=Pod,reason!=Pulling,reason!=Created,reason!=Started,"
    "reason!=Killing,reason!=BackOff,reason!=Unhealthy,reason!=FailedMount"
)


def event(reason: str, **fields: Any) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
        "reason": reason,
        "message": "",
        "source": {"component": "kubelet", "host": "node-1"},
        **fields,
    }


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with scripted() as server:
        yield server


@pytest.fixture
def door(server: ScriptedApi, tmp_path: Path) -> Iterator[Kubernetes]:
    door = Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
    yield door
    door.close()


def test_none_is_nothing_unseen(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(listed())]

    assert _events.read(door) == _events.Events(
        {"Pulled": [], "Failed": [], "DNSConfigForming": []}
    )


def test_three_sources_list_them_once(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(listed(event("Pulled"), event("Failed"))), Answer(listed())]

    pulls = pull_events.collect(door)
    failures = pull_failures.collect(door)
    with pytest.raises(Unavailable, match="no DNSConfigForming event"):
        node_resolv_conf_events.collect(door)

    assert pulls.provenance == "0 of 1 events of reason Pulled"
    assert failures.provenance == "1 events of reason Failed, 0 pending pods"
    assert [r.path for r in server.asked] == ["/api/v1/events", "/api/v1/pods"]
    assert server.asked[0].query == {"fieldSelector": ALL, "limit": "2000"}


def test_a_quick_look_asks_for_failures_alone(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(listed(event("Failed"))), Answer(listed())]
    door.quick = True

    pull_failures.collect(door)

    selector = "source=kubelet,involvedObject.kind=Pod,reason=Failed"
    assert server.asked[0].query["fieldSelector"] == selector


def test_what_a_selector_lets_through_is_still_looked_at(
    server: ScriptedApi, door: Kubernetes
) -> None:
    new = event("Pulled", source={}, reportingComponent="kubelet", reportingInstance="node-2")
    lie = event("Pulled", source={"component": "a-pod-that-lies"})
    server.answers = [Answer(listed(event("Rebooted"), lie, new))]

    found = _events.read(door).by_reason

    assert [e.node for e in found["Pulled"]] == ["node-2"]
    assert sum(map(len, found.values())) == 1


def test_it_ends(server: ScriptedApi, door: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "MOST", 2)
    monkeypatch.setattr(_events, "KEPT", 1)
    server.answers = [Answer(listed(event("Pulled"), event("Pulled"), token="t"))] * 3

    found = _events.read(door)

    assert len(found.by_reason["Pulled"]) == 1
    assert found.gap == "only 2 were read, to spare the API server"
    assert len(server.asked) <= 2  # the next page is on its way while one is read
