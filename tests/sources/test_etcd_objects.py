"""What is made of the counts that API servers of all versions show."""

import json
from pathlib import Path

import pytest

from k8sdiag.facts.etcd_objects import StoredResource
from k8sdiag.model import Unavailable
from k8sdiag.sources.etcd_objects import collect, read
from tests.scripted_api import Answer, listed, opened, refused

TEXT = {"Content-Type": "text/plain"}


def stored(name: str, objects: int | None, size: int | None = None) -> StoredResource:
    return StoredResource(name=name, objects=objects, size_bytes=size)


@pytest.mark.parametrize(
    ("page", "resources"),
    [
        pytest.param(
            'apiserver_resource_objects{group="",resource="pods"} 7\n'
            'apiserver_resource_objects{group="apps",resource="replicasets"} 0\n'
            'apiserver_resource_size_estimate_bytes{group="",resource="pods"} 7e+03\n'
            'apiserver_resource_size_estimate_bytes{group="apps",resource="replicasets"} 0\n'
            'apiserver_storage_objects{resource="pods"} 6\n',
            (stored("pods", 7, 7000), stored("replicasets.apps", 0, 0)),
            id="1.34: the newer name wins",
        ),
        pytest.param(
            'apiserver_storage_objects{resource="leases.coordination.k8s.io"} 12\n'
            'etcd_object_counts{resource="leases.coordination.k8s.io"} 11\n',
            (stored("leases.coordination.k8s.io", 12),),
            id="1.21 to 1.33: no sizes",
        ),
        pytest.param(
            'etcd_object_counts{resource="pods"} 3\n', (stored("pods", 3),), id="before 1.21"
        ),
        pytest.param(
            'apiserver_resource_objects{group="",resource="pods"} -1\n'
            'apiserver_resource_objects{group="",resource="nodes"} 5\n'
            'apiserver_resource_size_estimate_bytes{group="",resource="nodes"} -1\n',
            (stored("nodes", 5), stored("pods", None)),
            id="minus one is unknown",
        ),
        pytest.param(
            'apiserver_resource_objects{group="",resource="events"} 200\n'
            'apiserver_resource_size_estimate_bytes{group="",resource="events"} 0\n',
            (stored("events", 200),),
            id="two hundred objects do not have 0 bytes",
        ),
    ],
)
def test_pages_of_all_versions(page: str, resources: tuple[StoredResource, ...]) -> None:
    assert read(page.encode()) == resources


@pytest.mark.parametrize(
    ("page", "says"),
    [
        pytest.param("up 1\n", "counts no objects", id="none"),
        pytest.param(
            'apiserver_storage_objects{resource="pods"} 0\n', "has just started", id="not yet"
        ),
        pytest.param(
            'apiserver_storage_objects{resource="pods"} -1\n', "counts no objects", id="all failed"
        ),
        pytest.param("apiserver_storage_objects{<html>", "no Prometheus page", id="no page"),
    ],
)
def test_a_page_that_tells_nothing(page: str, says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        read(page.encode())


PAGE = Answer(
    b'apiserver_storage_objects{resource="events"} 1000\n'
    b'apiserver_storage_objects{resource="pods"} -1\n',
    headers=TEXT,
)


def test_events_are_measured_by_a_sample(tmp_path: Path) -> None:
    events = [{"message": "x" * 100}, {"message": "x" * 200}]
    mean = sum(len(json.dumps(e, separators=(",", ":"))) for e in events) / 2

    with opened(tmp_path, PAGE, Answer(listed(*events))) as reader:
        fact = collect(reader)

    assert fact.resources[0].size_bytes == 1000 * mean
    assert fact.resources[0].sampled == 2
    assert fact.gaps == {"pods": "the API server could not count it"}


def test_events_that_may_not_be_listed_stay_unknown(tmp_path: Path) -> None:
    with opened(tmp_path, PAGE, refused(403, "no")) as reader:
        fact = collect(reader)

    assert fact.resources[0] == stored("events", 1000)
