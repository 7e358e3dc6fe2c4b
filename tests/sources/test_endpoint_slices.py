"""Tables of EndpointSlices as kube-apiserver 1.36 prints them (a real one: tests/real)."""

import json
from pathlib import Path

import pytest

from k8sdiag.facts.cluster import Backends
from k8sdiag.model import Unavailable
from k8sdiag.sources.endpoint_slices import LARGEST, collect, number
from tests.scripted_api import Answer, opened, refused

COLUMNS = ("Name", "AddressType", "Ports", "Endpoints", "Age")


def row(
    service: str, endpoints: str, family: str = "IPv4", headless: bool = False
) -> dict[str, object]:
    labels = {"kubernetes.io/service-name": service} if service else {}
    labels |= {"service.kubernetes.io/headless": ""} if headless else {}
    metadata = {"name": f"{service}-x", "namespace": "a", "labels": labels}
    cells = [f"{service}-x", family, "80", endpoints, "1s"]
    return {"cells": cells, "object": {"metadata": metadata}}


def table(*rows: dict[str, object], token: str = "", columns: bool = True) -> Answer:
    page = {
        "kind": "Table",
        "metadata": {"continue": token},
        "columnDefinitions": [{"name": name} for name in COLUMNS] if columns else [],
        "rows": rows,
    }
    return Answer(json.dumps(page).encode())


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("<unset>", 0),
        ("10.0.0.1", 1),
        ("10.0.0.1,10.0.0.2,10.0.0.3", 3),
        ("10.0.0.1,10.0.0.2,10.0.0.3 + 97 more...", 100),
        ("fd00::1,fd00::2,fd00::3 + 1 more...", 4),
    ],
)
def test_a_cell_counts_what_it_does_not_name(cell: str, count: int) -> None:
    assert number(cell) == count


def test_slices_of_a_service_are_added_up_over_pages(tmp_path: Path) -> None:
    first = table(
        row("web", "10.0.0.1,10.0.0.2,10.0.0.3 + 97 more..."),
        row("web", "fd00::1", family="IPv6"),
        row("db", "10.0.0.1", headless=True),
        token="more",
    )
    second = table(row("web", "10.0.1.1,10.0.1.2"), row("", "10.9.9.9"), columns=False)
    with opened(tmp_path, first, second) as door:
        fact = collect(door)

    assert fact.largest == (
        Backends(subject="service/a/web", endpoints=102),
        Backends(subject="service/a/db", endpoints=1, headless=True),
    )
    assert (fact.slices, fact.gaps) == (5, {})


def test_the_largest_of_each_sort_are_kept(tmp_path: Path) -> None:
    rows = [row(f"h{i:02}", "10.0.0.1,10.0.0.2", headless=True) for i in range(LARGEST + 5)]
    with opened(tmp_path, table(*rows, row("web", "10.0.0.1"))) as door:
        fact = collect(door)

    assert len(fact.largest) == LARGEST + 1
    assert fact.largest[-1].subject == "service/a/web"


def test_a_list_that_breaks_off_is_said(tmp_path: Path) -> None:
    first = table(row("web", "10.0.0.1"), token="more")
    with opened(tmp_path, first, refused(403, "no")) as door:
        fact = collect(door)

    assert len(fact.largest) == 1
    assert "broke off after 1" in fact.gaps["endpoints"]


def test_who_may_not_list_them_is_told_what_to_grant(tmp_path: Path) -> None:
    with (
        opened(tmp_path, refused(403, "no")) as door,
        pytest.raises(Unavailable, match=r'grant "list" on "endpointslices.discovery.k8s.io"'),
    ):
        collect(door)


@pytest.mark.parametrize(
    "body", [b'{"kind":"EndpointSliceList","items":[]}', b"<html>", b"{}"], ids=["a list", "", "{}"]
)
def test_a_reply_that_is_no_table_is_not_taken_for_none(tmp_path: Path, body: bytes) -> None:
    with (
        opened(tmp_path, Answer(body)) as door,
        pytest.raises(Unavailable, match="the reply is no table"),
    ):
        collect(door)
