"""Tags that moved and images that stand out: quiet for all that only looks like it."""

import pytest
from msgspec.structs import replace

from k8sdiag import Missing
from k8sdiag.checks.image_hygiene import ImageHygiene, check
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Container, Pods, Served
from k8sdiag.model import Said
from tests.checks.pulling import NODE, findings, nodes, pods, profile, unseen

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
SMALL = nodes(*[0.1] * 20)
TWENTY = pods(*[profile(i) for i in range(20)])


def judge(running: Pods, of: Nodes | Missing = SMALL) -> list[Said]:
    return list(check(of, running, ImageHygiene()))


def served(*found: tuple[str, str], repository: bool = True) -> Pods:
    return replace(
        TWENTY, served=tuple(Served(i, d, repository=repository, containers=3) for i, d in found)
    )


@pytest.mark.parametrize(
    ("running", "of"),
    [
        pytest.param(served(("web:1", ONE), ("web:2", TWO)), SMALL, id="two tags"),
        pytest.param(
            served(("web:1", ONE), ("docker.io/library/web:1", ONE)), SMALL, id="two names"
        ),
        pytest.param(served((f"web@{ONE}", ONE), (f"web@{TWO}", TWO)), SMALL, id="by digest"),
        pytest.param(
            replace(
                TWENTY,
                served=(
                    Served("web:1", ONE, repository=True, containers=3),
                    Served("web:1", TWO, repository=False, containers=3),
                ),
            ),
            SMALL,
            id="two runtimes that name it differently",
        ),
        pytest.param(TWENTY, nodes(*[12] * 20), id="large, as all are"),
        pytest.param(TWENTY, nodes(*[0.1] * 15, *[8] * 5), id="a quarter of them is large"),
        pytest.param(TWENTY, nodes(*[0.01] * 19, 1.9), id="many times the size, but small"),
        pytest.param(TWENTY, nodes(*[1] * 19, 4.9), id="not much larger"),
        pytest.param(
            pods(*[profile(i) for i in range(9)]), nodes(*[0.1] * 8, 50), id="hardly any peers"
        ),
        pytest.param(
            pods(*[profile(i) for i in range(19)], profile(19, phase="Succeeded")),
            nodes(*[0.1] * 19, 50),
            id="only of a pod that has ended",
        ),
    ],
)
def test_quiet(running: Pods, of: Nodes) -> None:
    said = judge(running, of)

    assert findings(said) == []
    assert unseen(said) == []


def test_a_tag_that_moved() -> None:
    (finding,) = findings(
        judge(served(("web:1", ONE), ("docker.io/library/web:1", TWO), ("db:1", ONE)))
    )

    assert (finding.code, finding.subject) == ("moved-tag", "cluster")
    assert finding.message.startswith(
        "1 tag runs as different images at the same time: "
        "docker.io/library/web:1 (6 containers, 2 images); "
    )
    assert finding.remedy is not None
    assert "grep -F -- web:1 |" in finding.remedy.commands[0]


def test_many_tags_that_moved_are_one_finding() -> None:
    moved = [(f"r.io/{i}:1", digest) for i in range(9) for digest in (ONE, TWO)]

    (finding,) = findings(judge(served(*moved)))

    assert finding.observed == 9
    assert "and 6 more" in finding.message


def test_cri_o_tells_digests_of_each_architecture() -> None:
    mixed = [replace(NODE, name=a, arch=a, runtime="cri-o://1.33.1") for a in ("amd64", "arm64")]

    said = judge(served(("web:1", ONE), ("web:1", TWO)), nodes(0.1, of=mixed))

    assert findings(said) == []
    assert [g.subject for g in unseen(said)] == ["1 tags with several digests"]


def test_an_image_that_stands_out() -> None:
    (finding,) = findings(judge(TWENTY, nodes(*[0.1] * 19, 8)))

    assert (finding.code, finding.subject) == ("outlier", "pool/p")
    assert "not r.io/19:v1 of deployment/shop/web (8 GB)" in finding.message
    assert (finding.observed, finding.limit) == (8e9, 2e9)


def test_without_nodes_the_sizes_are_unseen() -> None:
    said = judge(TWENTY, Missing(reason='may not list "nodes"'))

    assert [(g.subject, g.reason) for g in unseen(said)] == [
        ("the sizes of images", 'may not list "nodes"')
    ]


def test_a_snapshot_that_does_not_tell_what_runs_is_unseen() -> None:
    said = judge(replace(TWENTY, created_column=b""))

    assert [g.subject for g in unseen(said)] == ["what containers run"]


def test_what_is_to_be_typed_is_harmless_whatever_an_image_is_called() -> None:
    evil = "r.io/$(reboot):v1"
    (moved,) = findings(judge(served((evil, ONE), (evil, TWO))))
    of = nodes(*[0.1] * 19, 50)
    large = replace(of.images[-1], names=(evil,))
    named = replace(of, images=(*of.images[:-1], large))
    asked = replace(profile(19), containers=(Container(evil, "IfNotPresent"),))
    (outlier,) = findings(judge(pods(*[profile(i) for i in range(19)], asked), named))

    for finding in (moved, outlier):
        assert finding.remedy is not None
        (command,) = finding.remedy.commands
        assert "$(reboot):v1'" in command
