"""Nodes as a real kubelet registered one (testdata/kubelet), and what clouds write on theirs."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.model import Unavailable
from k8sdiag.sources import nodes
from tests.scripted_api import Answer, listed, opened, refused

REGISTERED = json.loads((Path(__file__).parents[1] / "testdata/kubelet/node.json").read_text())


def node(name: str = "node-1", **changes: Any) -> dict[str, Any]:
    """A real Node with some fields of its metadata, spec and status replaced."""
    made: dict[str, Any] = copy.deepcopy(REGISTERED)
    made["metadata"]["name"] = name
    for part, fields in changes.items():
        made[part] |= fields
    return made


def collect(folder: Path, *pages: bytes | Answer) -> Nodes:
    answers = [page if isinstance(page, Answer) else Answer(page) for page in pages]
    with opened(folder, *answers) as door:
        return nodes.collect(door)


def test_a_node_as_a_kubelet_registers_it(tmp_path: Path) -> None:
    fact = collect(tmp_path, listed(node(), kind="NodeList"))

    assert fact.nodes == (
        Node(
            name="node-1",
            os="linux",
            os_image="Debian GNU/Linux 12 (bookworm)",
            arch="amd64",
            kernel="6.18.44",
            kubelet="v1.36.3",
            runtime="containerd://2.3.7",
            cpus=2.0,
            memory_bytes=24684096 * 1024,
            disk_bytes=264212084 * 1024,
            max_pods=110,
            ready=False,
            schedulable=True,
            kubelet_port=10250,
            addresses=("198.18.177.134",),
        ),
    )
    assert (fact.server, fact.gaps, fact.scale()) == ("v1.36.3", {}, {"nodes": 1.0})
    assert fact.provenance == "/api/v1/nodes of the API server"


def test_a_node_that_takes_no_pods(tmp_path: Path) -> None:
    cordoned = node(spec={"unschedulable": True, "podCIDRs": ["10.1.0.0/24", "fd00::/64"]})
    fact = collect(tmp_path, listed(cordoned))

    assert fact.nodes[0].schedulable is False
    assert fact.nodes[0].pod_cidrs == ("10.1.0.0/24", "fd00::/64")


def test_a_node_that_nobody_has_reported_on(tmp_path: Path) -> None:
    bare = {"metadata": {"name": "new"}, "spec": {}, "status": {}}

    assert collect(tmp_path, listed(bare)).nodes == (Node(name="new", ready=False),)


@pytest.mark.parametrize(
    ("said", "pressure"), [("True", True), ("False", False), ("Unknown", False)]
)
def test_a_node_whose_disk_is_full_says_so(tmp_path: Path, said: str, pressure: bool) -> None:
    found = node(status={"conditions": [{"type": "DiskPressure", "status": said}]})

    assert collect(tmp_path, listed(found)).nodes[0].disk_pressure is pressure


@pytest.mark.parametrize(
    ("labels", "pool"),
    [
        ({}, ""),
        ({"eks.amazonaws.com/nodegroup": "a", "node.kubernetes.io/instance-type": "m5"}, "a"),
        ({"cloud.google.com/gke-nodepool": "b"}, "b"),
        ({"kubernetes.azure.com/agentpool": "c", "agentpool": "old"}, "c"),
        ({"karpenter.sh/nodepool": "d", "eks.amazonaws.com/nodegroup": "system"}, "d"),
        ({"node.kubernetes.io/instance-type": "m5.large"}, "m5.large"),
    ],
)
def test_pool(tmp_path: Path, labels: dict[str, str], pool: str) -> None:
    fact = collect(tmp_path, listed(node(metadata={"labels": labels})))

    assert fact.nodes[0].pool == pool


def test_where_a_cloud_put_a_node(tmp_path: Path) -> None:
    labels = {"topology.kubernetes.io/zone": "eu-west-1a"}
    made = node(
        metadata={"labels": labels}, spec={"providerID": "aws:///eu-west-1a/i-0123456789abcdef0"}
    )

    (found,) = collect(tmp_path, listed(made)).nodes

    assert (found.zone, found.provider) == ("eu-west-1a", "aws")


def test_an_image_on_many_nodes_is_kept_once(tmp_path: Path) -> None:
    images = [
        {"names": ["a@sha256:1", "a:1"], "sizeBytes": 10},
        {"names": ["b:2"], "sizeBytes": 20},
        {"sizeBytes": 30},  # all its tags have moved on
    ]
    fact = collect(
        tmp_path,
        listed(
            node("one", status={"images": images[:2]}), node("two", status={"images": images[1:]})
        ),
    )

    assert fact.images == (
        Image(names=("a@sha256:1", "a:1"), size_bytes=10),
        Image(names=("b:2",), size_bytes=20),
        Image(names=(), size_bytes=30),
    )
    assert [n.images for n in fact.nodes] == [(0, 1), (1, 2)]


def test_a_list_that_breaks_off_is_a_gap(tmp_path: Path) -> None:
    broken = refused(500, "etcdserver: request timed out")
    fact = collect(tmp_path, listed(node("one"), token="t"), broken, broken)

    assert [n.name for n in fact.nodes] == ["one"]
    assert "broke off after 1: " in fact.gaps["nodes"]


def test_nodes_that_may_not_be_listed(tmp_path: Path) -> None:
    forbidden = refused(403, 'nodes is forbidden: User "me" cannot list resource "nodes"')

    with pytest.raises(Unavailable, match=r'^may not list "nodes": grant "list" on "nodes"'):
        collect(tmp_path, forbidden)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("16", 16),
        ("7910m", 7.91),
        ("1.5", 1.5),
        ("64332040Ki", 64332040 * 1024),
        ("32Gi", 32 * 2**30),
        ("1e3", 1000),
        ("2E", 2e18),
        ("1Ei", 2**60),
        ("500M", 5e8),
        ("-1", -1),
        ("", 0),
    ],
)
def test_quantity(text: str, number: float) -> None:
    assert nodes.quantity(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("role", "told"), [("control-plane", True), ("master", True), ("worker", False)]
)
def test_a_node_of_the_control_plane_is_known_by_its_role(
    tmp_path: Path, role: str, told: bool
) -> None:
    labels = {f"node-role.kubernetes.io/{role}": ""}
    fact = collect(tmp_path, listed(node(metadata={"labels": labels}), kind="NodeList"))

    assert fact.nodes[0].control_plane is told
