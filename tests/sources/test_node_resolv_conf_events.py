"""With the event that a kubelet of 1.36 writes when a pod's search list is too long."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import NotFound
from k8sdiag.sources import node_resolv_conf_events as source

OWN = "shop.svc.cluster.local svc.cluster.local cluster.local"
CUT = (
    "Search Line limits were exceeded, some search paths have been omitted, the applied search "
    "line is: "
)


def event(line: str, pod: str = "web", message: str = CUT) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod},
        "source": {"component": "kubelet", "host": "node-1"},
        "reason": "DNSConfigForming",
        "message": message + line,
    }


def pod(**spec: object) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"nodeName": "n", **spec}}


class Door:
    quick = False

    def __init__(self, events: list[dict[str, Any]], pods: Mapping[str, dict[str, Any]]) -> None:
        self._events = events
        self._pods = pods
        self.asked: list[str] = []

    def get(
        self,
        path: str,
        needs: Permission,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float = 15.0,
    ) -> bytes:
        self.asked.append(path)
        if path == "/api/v1/events":
            assert params == {"fieldSelector": "reason=DNSConfigForming", "limit": "100"}
            assert needs in source.PERMISSIONS
            return json.dumps({"items": self._events}).encode()
        name = path.removeprefix("/api/v1/namespaces/shop/pods/")
        if name not in self._pods:
            raise NotFound(f'pods "{name}" not found')
        return json.dumps(self._pods[name]).encode()


def collect(events: list[dict[str, Any]], **pods: dict[str, Any]) -> NodeResolvConf:
    return source.collect(Door(events, pods))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "pods"),
    [
        pytest.param([], {}, id="no event"),
        pytest.param([event(f"{OWN} a.example")], {}, id="the pod is gone"),
        pytest.param(
            [
                event(
                    "192.0.2.1 192.0.2.2 192.0.2.3",
                    message="Nameserver limits were exceeded, some nameservers have been omitted, "
                    "the applied nameserver line is: ",
                )
            ],
            {"web": pod()},
            id="an event about nameservers",
        ),
        pytest.param(
            [event("a.example b.example")], {"web": pod(dnsPolicy="None")}, id="policy None"
        ),
        pytest.param(
            [event("a.example b.example")],
            {"web": pod()},
            id="a list that does not begin with the cluster's",
        ),
    ],
)
def test_what_does_not_tell_is_unknown(
    events: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(Unavailable, match="no DNSConfigForming event tells"):
        collect(events, **pods)


def test_a_quick_look_lists_no_events() -> None:
    door = Door([], {})
    door.quick = True

    with pytest.raises(Unavailable, match="quick"):
        source.collect(door)  # type: ignore[arg-type]

    assert door.asked == []


def test_the_cluster_s_and_the_pod_s_own_domains_are_taken_away() -> None:
    config = {"searches": ["own.example", "more.example"]}
    found = collect(
        [event(f"{OWN} node.example corp.example own.example")], web=pod(dnsConfig=config)
    )

    assert found.searches == ("node.example", "corp.example")
    assert (found.node, found.path, found.nameservers) == ("node-1", "unknown", ())
    assert found.gaps == {}


def test_a_pod_with_the_node_s_file_tells_it_as_it_is() -> None:
    found = collect([event("node.example corp.example")], web=pod(dnsPolicy="Default"))

    assert found.searches == ("node.example", "corp.example")
    assert list(found.gaps) == ["search domains of node/node-1"]


def test_only_a_few_pods_are_looked_up() -> None:
    door = Door([event(f"{OWN} a", pod=f"gone-{i}") for i in range(50)], {})

    with pytest.raises(Unavailable):
        source.collect(door)  # type: ignore[arg-type]

    assert len(door.asked) == 1 + source.MOST_PODS
