"""Times of image pulls: every form that a kubelet writes, and no other text."""

from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.pulls import ImagePulls, Pull
from k8sdiag.model import Unavailable
from k8sdiag.sources import pull_events
from tests.scripted_api import Answer, listed, opened, refused

NEW = (
    'Successfully pulled image "r.io/a:1" in 1m22.032s (1m30.5s including waiting). '
    "Image size: 4149299364 bytes."
)


def event(message: str | None = NEW, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1.17", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web-1"},
        "reason": "Pulled",
        "message": message,
        "source": {"component": "kubelet", "host": "node-1"},
        **fields,
    }


def collect(folder: Path, *pages: bytes | Answer) -> ImagePulls:
    answers = [page if isinstance(page, Answer) else Answer(page) for page in pages]
    with opened(folder, *answers) as door:
        return pull_events.collect(door)


@pytest.mark.parametrize(
    "text",
    [
        'Container image "r.io/a:1" already present on machine',
        'Container image "r.io/a:1" already present on machine and can be accessed by the pod',
        f"{NEW} And more",
        f"\n{NEW}",
        'Successfully pulled image "r.io/a:1" in soon',
        'Successfully pulled image "r.io/a:1" in 1.2.3s',
        'Successfully pulled image "r.io/a:1" in -5s',
        'Successfully pulled image "a" b" in 5s',
        'Successfully pulled image "" in 5s',
        f'Successfully pulled image "r.io/a:1" in {"9" * 10_000}s',
        "",
    ],
)
def test_other_texts_are_no_pulls(text: str) -> None:
    assert pull_events.parse(text, "node-1") is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param("", (None, None, 0), id="up to 1.19"),
        pytest.param(" in 4.5s", (None, 4.5, 0), id="up to 1.25: with waiting"),
        pytest.param(
            " in 5m0.34s (22m24.5159081s including waiting)",
            (300.34, 1344.5159081, 0),
            id="from 1.26 on",
        ),
        pytest.param(
            " in 850ms (1h0m0.85s including waiting). Image size: 0 bytes.",
            (0.85, 3600.85, 0),
            id="a size that is not known",
        ),
        pytest.param(
            " in 1m22.032s (1m30.5s including waiting). Image size: 4149299364 bytes.",
            (82.032, 90.5, 4149299364),
            id="from 1.30 on",
        ),
    ],
)
def test_every_form_of_a_kubelet(
    times: str, expected: tuple[float | None, float | None, int]
) -> None:
    found = pull_events.parse(f'Successfully pulled image "r.io/a:1"{times}', "n")

    assert found is not None
    assert (found.image, found.node) == ("r.io/a:1", "n")
    assert (found.seconds, found.total_seconds, found.size_bytes) == pytest.approx(expected)


def test_pulls_of_the_cluster(tmp_path: Path) -> None:
    bare: dict[str, Any] = {
        "source": {},
        "reportingComponent": "kubelet",
        "reportingInstance": "node-2",
    }
    fact = collect(
        tmp_path,
        listed(event(), event('Container image "x" already present on machine'), token="t"),
        listed(event(**bare), event(source={"component": "a-pod-that-lies"}), event(message=None)),
    )

    pull = Pull(
        image="r.io/a:1", node="node-1", seconds=82.032, total_seconds=90.5, size_bytes=4149299364
    )
    assert fact.pulls[0] == pull
    assert [p.node for p in fact.pulls] == ["node-1", "node-2"]
    assert fact.provenance == "2 of 4 events of reason Pulled"
    assert fact.gaps == {}


def test_events_that_break_off_are_a_gap(tmp_path: Path) -> None:
    cut = Answer(b'{"items":[', cut=5)
    fact = collect(tmp_path, listed(event(), token="t"), cut, cut)

    assert len(fact.pulls) == 1
    assert "broke off after 1: " in fact.gaps["events"]


def test_events_that_may_not_be_listed(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r'^may not list "events": grant "list" on "events"'):
        collect(tmp_path, refused(403, "events is forbidden"))


def test_a_quick_look_leaves_them_alone(tmp_path: Path) -> None:
    with opened(tmp_path, quick=True) as door, pytest.raises(Unavailable, match="quick"):
        pull_events.collect(door)
