"""Images against the disk: quiet with room, and where the disk can only be another one."""

import pytest
from msgspec.structs import replace

from k8sdiag import Missing, Severity, Usage
from k8sdiag.checks.image_disk import ImageDisk, check
from k8sdiag.facts.kubelet import KubeletConfigs
from k8sdiag.facts.nodes import Node
from k8sdiag.model import Said
from tests.checks.pulling import (
    GB,
    NO_KUBELET,
    NODE,
    NOT_READ,
    SERIAL,
    TEN,
    findings,
    nodes,
    pods,
    profile,
    told,
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


def gc(*percents: int | None) -> KubeletConfigs:
    field = "image_gc_high_threshold_percent"
    sources = {field: "/configz of node/n1"}
    return told(
        *[replace(SERIAL, image_gc_high_threshold_percent=p, sources=sources) for p in percents]
    )


@pytest.mark.parametrize(
    ("kubelets", "on", "words"),
    [
        pytest.param(gc(80), "n1", "", id="begins later"),
        pytest.param(gc(85), "n1", "", id="begins where it is by default"),
        pytest.param(gc(70, 80), "n3", "", id="kubelets of its pool that differ"),
        pytest.param(gc(None), "n1", "", id="a kubelet that does not tell"),
        pytest.param(gc(70), "n1", "70% garbage collection begins (/configz of", id="its own"),
        pytest.param(gc(70), "n3", "70% garbage collection begins (/configz of", id="its like"),
    ],
)
def test_garbage_collection_begins_where_the_kubelet_says(
    kubelets: KubeletConfigs, on: str, words: str
) -> None:
    """Images take 75 % of the disk."""
    fleet = [replace(CRIO, name=name) for name in ("n1", "n2", "n3")]
    of = nodes(*[7.5] * 10, of=fleet)

    said = list(check(of, pods(*TEN, on=[on]), kubelets, NO_KUBELET, ImageDisk()))

    assert [f.code for f in findings(said)] == ["near"] * bool(words)
    assert all(words in f.message and f.limit == 70 * GB for f in findings(said))


def test_eviction_begins_before_garbage_collection_that_is_set_higher() -> None:
    of = nodes(*[9] * 10, of=[CRIO])

    (finding,) = findings(list(check(of, pods(*TEN), gc(100), NO_KUBELET, ImageDisk())))

    assert "at 85% eviction begins, and images in use" in finding.message


def test_pods_that_pull_nothing_fill_nothing() -> None:
    of = nodes(90, of=[CRIO])

    said = list(check(of, pods(profile(0, phase="Failed")), NOT_READ, NO_KUBELET, ImageDisk()))

    assert said == []
