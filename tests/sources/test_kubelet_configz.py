"""With replies of real kubelets, recorded by tests/real/record_kubelet.py."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from k8sdiag.facts.kubelet import KubeletConfigs
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import Forbidden
from k8sdiag.readers.kubernetes import NotFound
from k8sdiag.sources import kubelet_configz
from k8sdiag.sources._kubelet import reported

RECORDED = Path(__file__).parents[1] / "testdata/kubelet"
PARALLEL = (RECORDED / "configz-parallel-5.json").read_bytes()


class Door:
    """Answers configz for some nodes, and remembers whom it was asked for."""

    def __init__(
        self, replies: Mapping[str, bytes | Unavailable], *, configz: str = "proxy"
    ) -> None:
        self.configz = configz
        self.replies = replies
        self.asked: list[str] = []

    def get(
        self,
        path: str,
        needs: Permission,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float = 15.0,
    ) -> bytes:
        assert needs == Permission(resource="nodes/proxy", verb="get")
        name = path.removeprefix("/api/v1/nodes/").removesuffix("/proxy/configz")
        self.asked.append(name)
        reply = self.replies.get(name, PARALLEL)
        if isinstance(reply, Unavailable):
            raise reply
        return reply

    def kubelet(
        self, address: str, port: int, path: str, needs: Permission, *, timeout_seconds: float
    ) -> bytes:
        assert needs == Permission(resource="nodes/configz", verb="get")
        self.asked.append(f"{address}:{port}{path}")
        return PARALLEL


@pytest.fixture(autouse=True)
def nodes(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The nodes that the API lists: `nodes.listed`."""
    state = SimpleNamespace(listed=(Node(name="a", pool="p", kubelet="v1.36.3"),))
    monkeypatch.setattr("k8sdiag.sources.nodes.collect", lambda _: Nodes(nodes=state.listed))
    monkeypatch.setattr(kubelet_configz, "PAUSE_SECONDS", 0.0)
    return state


def collect(door: Door) -> KubeletConfigs:
    return kubelet_configz.collect(door)  # type: ignore[arg-type]


def pool(name: str, count: int, *, version: str = "v1.36.3", ready: bool = True) -> list[Node]:
    return [
        Node(name=f"{name}-{i:04}", pool=name, kubelet=version, ready=ready) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("file", "slots", "qps", "burst"),
    [
        ("configz-defaults.json", 1, 5, 10),
        ("configz-parallel-5.json", 5, 5, 10),
        ("configz-parallel-unbounded.json", float("inf"), 20, 40),
    ],
)
def test_what_real_kubelets_say(file: str, slots: float, qps: int, burst: int) -> None:
    config = json.loads((RECORDED / file).read_text())["kubeletconfig"]

    settings = reported(config, "/configz")

    assert (settings.slots, settings.registry_pull_qps, settings.registry_burst) == (
        slots,
        qps,
        burst,
    )
    assert settings.node_status_max_images == 50
    assert settings.image_gc_high_threshold_percent == 85
    assert set(settings.sources.values()) == {"/configz"}


def test_without_consent_nothing_is_asked() -> None:
    door = Door({}, configz="off")

    with pytest.raises(Unavailable, match="add --kubelet-configz=proxy"):
        collect(door)
    assert door.asked == []


def test_another_key_beside_the_configuration_is_no_trouble() -> None:
    more = json.loads(PARALLEL) | {"kubeletflags": {"v": "2"}, "other": [1]}

    (found,) = collect(Door({"a": json.dumps(more).encode()})).kubelets

    assert found.settings.slots == 5
    assert found.settings.sources["registry_burst"] == "/configz of node/a"


def test_a_few_of_each_pool_and_version_are_asked(nodes: SimpleNamespace) -> None:
    nodes.listed = (
        *pool("big", 1000),
        *pool("big", 2, version="v1.35.0"),
        *pool("small", 1),
    )
    door = Door({})

    found = collect(door)

    assert len(found.kubelets) == 3 + 2 + 1
    assert {(k.pool, k.version) for k in found.kubelets} == {
        ("big", "v1.36.3"),
        ("big", "v1.35.0"),
        ("small", "v1.36.3"),
    }
    assert {"big-0333", "big-0666"} < set(door.asked)  # apart from each other


def test_nodes_that_are_ready_come_first(nodes: SimpleNamespace) -> None:
    down = [Node(name=f"down-{i}", pool="p", ready=False) for i in range(5)]
    nodes.listed = (*down, *pool("p", 1, version=""))
    door = Door({})

    collect(door)

    assert door.asked[0] == "p-0000"


def test_a_node_that_fails_is_a_gap(nodes: SimpleNamespace) -> None:
    nodes.listed = (*pool("p", 2),)
    door = Door({"p-0000": NotFound("404 page not found")})

    found = collect(door)

    assert [k.node for k in found.kubelets] == ["p-0001"]
    assert "enableDebuggingHandlers" in found.gaps["the kubelet of node/p-0000"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"kubeletconfig": 1}'])
def test_an_answer_that_is_no_kubelets_is_a_gap(body: bytes, nodes: SimpleNamespace) -> None:
    nodes.listed = (*pool("p", 2),)

    found = collect(Door({"p-0000": body}))

    assert found.gaps == {"the kubelet of node/p-0000": "its answer is not that of a kubelet"}


def test_after_five_failures_in_a_row_nobody_else_is_asked(nodes: SimpleNamespace) -> None:
    nodes.listed = tuple(n for i in range(10) for n in pool(f"p{i}", 1))
    door = Door({n.name: Unavailable("timed out after 5s") for n in nodes.listed})

    with pytest.raises(Unavailable, match="timed out after 5s"):
        collect(door)
    assert len(door.asked) == 5


def test_a_refusal_ends_it_at_once(nodes: SimpleNamespace) -> None:
    nodes.listed = (*pool("p", 3),)
    door = Door({n.name: Forbidden('may not get "nodes/proxy"') for n in nodes.listed})

    with pytest.raises(Unavailable, match="nodes/proxy"):
        collect(door)
    assert len(door.asked) == 1


def test_nodes_that_serve_no_configz_do_not_end_it(nodes: SimpleNamespace) -> None:
    nodes.listed = tuple(n for i in range(10) for n in pool(f"p{i}", 1))
    missing = NotFound("404 page not found")
    door = Door({n.name: missing for n in nodes.listed[:8]})

    found = collect(door)

    assert len(found.kubelets) == 2
    assert len(found.gaps) == 8


def test_many_pools_are_cut_but_none_of_them_is_left_out(nodes: SimpleNamespace) -> None:
    nodes.listed = tuple(n for i in range(80) for n in pool(f"p{i}", 3))

    found = collect(Door({}))

    assert len(found.kubelets) == 100
    assert len({k.pool for k in found.kubelets}) == 80
    assert found.gaps == {}


def test_pools_that_were_not_asked_are_a_gap(nodes: SimpleNamespace) -> None:
    nodes.listed = tuple(n for i in range(130) for n in pool(f"p{i}", 1))

    found = collect(Door({}))

    assert found.gaps == {"kubelets": "30 pools and versions not asked, to spare the API server"}


def direct(nodes: SimpleNamespace, *versions: str, **fields: object) -> None:
    nodes.listed = tuple(
        Node(
            name=f"n{i}",
            pool=f"p{i}",
            kubelet=version,
            **{"addresses": ("10.0.0.1",), "kubelet_port": 10250, **fields},  # type: ignore[arg-type]
        )
        for i, version in enumerate(versions)
    )


def test_kubelets_are_asked_directly_at_their_own_address(nodes: SimpleNamespace) -> None:
    direct(nodes, "v1.33.0")
    door = Door({}, configz="direct")

    (found,) = collect(door).kubelets

    assert door.asked == ["10.0.0.1:10250/configz"]
    assert found.settings.slots == 5


def test_older_kubelets_are_not_asked_directly(nodes: SimpleNamespace) -> None:
    direct(nodes, "v1.32.9", "v1.36.3")
    door = Door({}, configz="direct")

    found = collect(door)

    assert len(found.kubelets) == 1
    assert "before 1.33 know no nodes/configz" in found.gaps["the kubelet of node/n0"]


def test_a_node_without_an_address_is_a_gap(nodes: SimpleNamespace) -> None:
    direct(nodes, "v1.36.3", addresses=())

    with pytest.raises(Unavailable, match="no internal address"):
        collect(Door({}, configz="direct"))
