"""With the event that a kubelet of 1.36 writes when a pod's search list is too long."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import _events
from k8sdiag.sources import node_resolv_conf_events as source
from tests.scripted_api import Answer, kubeconfig, listed, opened, refused, scripted

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


def collect(
    folder: Path, events: list[dict[str, Any]], pod: dict[str, Any] | None = None
) -> NodeResolvConf:
    """Every pod that is looked up is this one, or gone."""
    answer = Answer(json.dumps(pod).encode()) if pod else refused(404, 'pods "web" not found')
    with opened(folder, Answer(listed(*events)), *[answer] * source.MOST_PODS) as door:
        return source.collect(door)


@pytest.mark.parametrize(
    ("events", "pod"),
    [
        pytest.param([], None, id="no event"),
        pytest.param([event(f"{OWN} a.example")], None, id="the pod is gone"),
        pytest.param(
            [
                event(
                    "192.0.2.1 192.0.2.2 192.0.2.3",
                    message="Nameserver limits were exceeded, some nameservers have been omitted, "
                    "the applied nameserver line is: ",
                )
            ],
            pod(),
            id="an event about nameservers",
        ),
        pytest.param([event("a.example b.example")], pod(dnsPolicy="None"), id="policy None"),
        pytest.param(
            [event("a.example b.example")],
            pod(),
            id="a list that does not begin with the cluster's",
        ),
    ],
)
def test_what_does_not_tell_is_unknown(
    tmp_path: Path, events: list[dict[str, Any]], pod: dict[str, Any] | None
) -> None:
    with pytest.raises(Unavailable, match=r"no DNSConfigForming event tells .* of a node$"):
        collect(tmp_path, events, pod)


def test_events_that_were_not_all_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_events, "MOST", 1)

    with pytest.raises(Unavailable, match=r"of a node: only 1 were read, to spare the API server$"):
        collect(tmp_path, [event(f"{OWN} a.example")])


def test_a_quick_look_lists_no_events(tmp_path: Path) -> None:
    with opened(tmp_path, quick=True) as door, pytest.raises(Unavailable, match="quick"):
        source.collect(door)


def test_the_cluster_s_and_the_pod_s_own_domains_are_taken_away(tmp_path: Path) -> None:
    config = {"searches": ["own.example", "more.example"]}
    line = f"{OWN} node.example corp.example own.example"
    found = collect(tmp_path, [event(line)], pod(dnsConfig=config))

    assert found.searches == ("node.example", "corp.example")
    assert (found.node, found.path, found.nameservers) == ("node-1", "unknown", ())
    assert found.gaps == {}


def test_a_pod_with_the_node_s_file_tells_it_as_it_is(tmp_path: Path) -> None:
    found = collect(tmp_path, [event("node.example corp.example")], pod(dnsPolicy="Default"))

    assert found.searches == ("node.example", "corp.example")
    assert list(found.gaps) == ["search domains of node/node-1"]


def test_only_a_few_pods_are_looked_up(tmp_path: Path) -> None:
    gone = [event(f"{OWN} a", pod=f"gone-{i}") for i in range(50)]
    answers = [Answer(listed(*gone)), *[refused(404, "not found")] * source.MOST_PODS]
    with opened(tmp_path, *answers) as door:
        with pytest.raises(Unavailable, match=r"of a node$"):
            source.collect(door)
        asked = door.cost.api_requests

    assert asked == 2 + source.MOST_PODS  # with /version


def test_who_wants_nothing_else_reads_nothing_else(tmp_path: Path) -> None:
    with scripted() as server:
        server.answers = [Answer(listed())]
        door = Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
        with closing(door), pytest.raises(Unavailable, match="no DNSConfigForming"):
            source.collect_alone(door)
        (asked,) = server.asked

    selector = "source=kubelet,involvedObject.kind=Pod,reason=DNSConfigForming"
    assert asked.query["fieldSelector"] == selector
