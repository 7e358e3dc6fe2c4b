"""Images against the disk: quiet with room, and where the disk can only be another one."""

import pytest
from msgspec.structs import replace

from k8sdiag import Missing, Severity, Usage
from k8sdiag.checks.image_disk import ImageDisk, check
from k8sdiag.facts.nodes import Node
from k8sdiag.model import Said
from tests.checks.pulling import (
    GB,
    NO_KUBELET,
    NODE,
    NOT_READ,
    TEN,
    findings,
    nodes,
    pods,
    profile,
    unseen,
)

DISK = replace(NODE, disk_bytes=100 * GB)
CRIO = replace(DISK, runtime="cri-o://1.33.1")  # tells unpacked sizes


def judge(*sizes: float, node: Node = DISK) -> list[Said]:
    """Ten pods of one image each on one node."""
    kubelets: Missing = NOT_READ
    return list(check(nodes(*sizes, of=[node]), pods(*TEN), kubelets, NO_KUBELET, ImageDisk()))


@pytest.mark.parametrize(
    ("sizes", "node"),
    [
        pytest.param([1] * 10, DISK, id="room"),
        pytest.param([8.4] * 10, CRIO, id="just below the threshold"),
        pytest.param(
            [3] * 10,
            replace(DISK, os_image="Amazon Linux 2023.9"),
            id="packed layers that are deleted",
        ),
        pytest.param(
            [1] * 10, replace(DISK, disk_pressure=True), id="pressure from something else"
        ),
    ],
)
def test_quiet(sizes: list[float], node: Node) -> None:
    said = judge(*sizes, node=node)

    assert findings(said) == []
    assert unseen(said) == []


def test_images_that_can_only_lie_on_another_disk_are_unseen() -> None:
    said = judge(*[20] * 10, node=CRIO)

    assert findings(said) == []
    (gap,) = unseen(said)
    assert gap.subject == "the image disks of 1 nodes"
    assert "200 GB, its kubelet's disk has 100 GB" in gap.reason


def test_a_node_that_tells_no_disk_is_unseen() -> None:
    said = judge(*[20] * 10, node=NODE)

    assert [g.subject for g in unseen(said)] == ["the disks of 1 nodes"]
    assert not any(isinstance(x, Usage) for x in said)


@pytest.mark.parametrize(
    ("sizes", "node", "code", "severity"),
    [
        pytest.param([9] * 10, CRIO, "near", Severity.WARNING, id="past the threshold"),
        pytest.param([2.5] * 10, DISK, "near", Severity.WARNING, id="with packed layers"),
        pytest.param(
            [6] * 10,
            replace(CRIO, disk_pressure=True),
            "pressure",
            Severity.CRITICAL,
            id="pressure, and most of it is images",
        ),
        pytest.param(
            [20] * 10,
            replace(CRIO, disk_pressure=True),
            "pressure",
            Severity.CRITICAL,
            id="pressure, and more than there is",
        ),
    ],
)
def test_loud(sizes: list[float], node: Node, code: str, severity: Severity) -> None:
    (finding,) = findings(judge(*sizes, node=node))

    assert (finding.code, finding.severity, finding.subject) == (code, severity, "pool/p")
    assert finding.limit == 85 * GB


def test_the_usage_counts_what_is_unpacked_and_what_containerd_keeps() -> None:
    (usage,) = (x for x in judge(*[1] * 10) if isinstance(x, Usage))

    assert (usage.limit_id, usage.subject, usage.limit) == ("image-disk", "pool/p", 85 * GB)
    assert usage.used == pytest.approx(10 * 3.7 * GB)


def test_one_finding_per_pool_names_the_fullest_node() -> None:
    other = replace(CRIO, name="n2", disk_bytes=95 * GB)
    of = nodes(*[9] * 10, of=[CRIO, other])

    (finding,) = findings(
        list(check(of, pods(*TEN, on=["n1", "n2"]), NOT_READ, NO_KUBELET, ImageDisk()))
    )

    assert "n2's pods need take up to 90 of its 95 GB" in finding.message
    assert "1 more of its nodes as well" in finding.message


def test_pods_that_pull_nothing_fill_nothing() -> None:
    of = nodes(90, of=[CRIO])

    said = list(check(of, pods(profile(0, phase="Failed")), NOT_READ, NO_KUBELET, ImageDisk()))

    assert said == []
