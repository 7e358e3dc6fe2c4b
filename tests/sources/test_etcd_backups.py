from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.sources.etcd_backups import collect
from tests.scripted_api import Answer, listed, opened, refused


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cronjob(name: str, **status: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "ops"}, "status": status}


def test_only_cronjobs_for_etcd_count(tmp_path: Path) -> None:
    jobs = listed(
        cronjob("postgres-backup", lastSuccessfulTime=hours_ago(1)),
        cronjob("etcd-defrag", lastSuccessfulTime=hours_ago(1)),
        cronjob("etcd-backup", lastSuccessfulTime=hours_ago(48)),
        cronjob("etcd-snapshot-s3"),
    )
    with opened(tmp_path, Answer(jobs)) as door:
        found = {b.subject: b.age_seconds for b in collect(door).backups}

    assert found == {
        "cronjob/ops/etcd-backup": pytest.approx(48 * 3600, abs=60),
        "cronjob/ops/etcd-snapshot-s3": None,
    }


def test_the_newest_snapshot_of_k3s_that_can_be_used(tmp_path: Path) -> None:
    snapshots = listed(
        {"status": {"creationTime": hours_ago(12), "readyToUse": True}},
        {"status": {"creationTime": hours_ago(6), "readyToUse": True}},
        {"status": {"creationTime": hours_ago(1), "readyToUse": False}},
    )
    with opened(tmp_path, Answer(listed()), Answer(snapshots)) as door:
        door.server = "v1.33.1+k3s1"
        (backup,) = collect(door).backups

    assert backup.subject == "k3s snapshots"
    assert backup.age_seconds == pytest.approx(6 * 3600, abs=60)


def test_an_old_k3s_without_that_resource(tmp_path: Path) -> None:
    with opened(tmp_path, Answer(listed()), refused(404, "404 page not found")) as door:
        door.server = "v1.25.1+k3s1"

        assert collect(door).backups == ()


def test_a_refusal_names_the_permission(tmp_path: Path) -> None:
    with (
        opened(tmp_path, refused(403, "forbidden")) as door,
        pytest.raises(Unavailable, match=r'"list" on "cronjobs\.batch"'),
    ):
        collect(door)
