"""Policies and reports where something can't be read; the rest is held to a real API server."""

import json
from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.sources import image_policies, vulnerabilities
from tests.scripted_api import Answer, listed, opened, refused


def groups(*names: str) -> Answer:
    found = [{"name": n, "preferredVersion": {"groupVersion": f"{n}/v1", "version": "v1"}}
             for n in names]  # fmt: skip
    return Answer(json.dumps({"kind": "APIGroupList", "groups": found}).encode())


def test_what_may_not_be_read_is_a_gap_and_the_rest_stands(tmp_path: Path) -> None:
    signed = {"metadata": {"name": "all"}, "spec": {"authorities": [{"key": {"data": "k"}}]}}
    answers = (
        groups("kyverno.io", "policy.sigstore.dev"),
        refused(403, "forbidden"),
        refused(404, "the server could not find the requested resource"),
        Answer(listed(signed)),
    )
    with opened(tmp_path, *answers) as door:
        found = image_policies.collect(door)

    assert [(p.kind, p.name) for p in found.policies] == [("ClusterImagePolicy", "all")]
    assert list(found.gaps) == ["clusterpolicies.kyverno.io"]
    assert 'may not list "clusterpolicies.kyverno.io"' in found.gaps["clusterpolicies.kyverno.io"]


def test_no_discovery_is_no_empty_cluster(tmp_path: Path) -> None:
    with (
        opened(tmp_path, refused(403, "forbidden")) as door,
        pytest.raises(Unavailable, match='may not get "/apis"'),
    ):
        image_policies.collect(door)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"groups": [{}]}'])
def test_what_is_no_discovery_is_said(tmp_path: Path, body: bytes) -> None:
    with (
        opened(tmp_path, Answer(body)) as door,
        pytest.raises(Unavailable, match="not what an API server sends"),
    ):
        image_policies.collect(door)


TABLE = json.dumps(
    {
        "kind": "Table",
        "metadata": {"continue": "more"},
        "columnDefinitions": [{"name": "Repository"}, {"name": "Critical"}, {"name": "High"}],
        "rows": [{"cells": ["web", 2, 5]}, {"cells": ["log", None, "many"]}],
    }
).encode()


def test_reports_that_break_off_are_a_gap(tmp_path: Path) -> None:
    answers = groups(vulnerabilities.GROUP), Answer(TABLE), refused(403, "forbidden")
    with opened(tmp_path, *answers) as door:
        found = vulnerabilities.collect(door)

    assert (found.reports, found.critical, found.high) == (2, 2, 5)
    assert "broke off after 2" in found.gaps["vulnerability reports"]


def test_a_bound_of_reports_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "MOST", 2)
    with opened(tmp_path, groups(vulnerabilities.GROUP), Answer(TABLE)) as door:
        found = vulnerabilities.collect(door)

    assert found.gaps == {"vulnerability reports": "only 2 were read, to spare the API server"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(refused(403, "forbidden"), "may not list", id="refused"),
        pytest.param(Answer(b"no table"), "is no table", id="no table"),
    ],
)
def test_reports_that_can_not_be_read_are_unknown(
    tmp_path: Path, answer: Answer, said: str
) -> None:
    with (
        opened(tmp_path, groups(vulnerabilities.GROUP), answer) as door,
        pytest.raises(Unavailable, match=said),
    ):
        vulnerabilities.collect(door)


def test_a_quick_look_reads_no_reports(tmp_path: Path) -> None:
    with opened(tmp_path, quick=True) as door, pytest.raises(Unavailable, match="quick"):
        vulnerabilities.collect(door)
