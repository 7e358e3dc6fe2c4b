import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8sdiag.model import ConfigError, Cost, Fact, Missing, Snapshot
from k8sdiag.snapshot import SnapshotError, load, save


class Lake(Fact, frozen=True, kw_only=True):
    depth_m: float
    column: bytes = b""


SNAPSHOT = Snapshot(
    cluster="prod",
    taken_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    facts={"Lake": Lake(depth_m=2.5, column=b"\x01\x00\xff", gaps={"bay": "ice"})},
    missing={"Sea": Missing(reason="fog")},
    seconds={"Lake": 0.5},
    cost=Cost(api_requests=3),
    lab="a lab",
)


def test_a_round_trip_keeps_everything(tmp_path: Path) -> None:
    save(SNAPSHOT, tmp_path / "s.json.gz")

    assert load(tmp_path / "s.json.gz", {"Lake": Lake}) == SNAPSHOT


def test_the_same_snapshot_is_the_same_bytes_and_private(tmp_path: Path) -> None:
    for name in "ab":
        save(SNAPSHOT, tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_fact_that_nobody_looked_for_then_is_missing_with_the_mend(tmp_path: Path) -> None:
    class Sea(Fact, frozen=True, kw_only=True):
        pass

    class Tide(Fact, frozen=True, kw_only=True):
        pass

    save(SNAPSHOT, tmp_path / "s")
    missing = load(tmp_path / "s", {"Lake": Lake, "Sea": Sea, "Tide": Tide}).missing

    assert missing["Sea"] == Missing(reason="fog")
    assert "not in this snapshot, taken by k8sdiag" in missing["Tide"].reason


def test_a_fact_of_a_plugin_that_is_gone_is_missing_with_the_reason(tmp_path: Path) -> None:
    save(SNAPSHOT, tmp_path / "s")

    assert "plugin that is not installed" in load(tmp_path / "s", {}).missing["Lake"].reason


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(gzip.compress(b"{}" * 50)[:-20], "cut off or damaged", id="truncated gzip"),
        pytest.param(b'{"kind": "Snap', "not a snapshot of k8sdiag", id="truncated JSON"),
        pytest.param(b"\x7fELF", "not a snapshot of k8sdiag", id="another kind of file"),
        pytest.param(b'{"kind": "Report"}', "its kind is 'Report'", id="a report"),
        pytest.param(b"[]", "not a snapshot of k8sdiag", id="a list"),
        pytest.param(
            b'{"kind": "Snapshot", "apiVersion": "k8sdiag.io/v9", "version": "9.0"}',
            "written by k8sdiag 9.0 as k8sdiag.io/v9",
            id="a newer version",
        ),
        pytest.param(
            b'{"kind": "Snapshot", "apiVersion": "k8sdiag.io/v1alpha1"}',
            "missing required field",
            id="fields missing",
        ),
    ],
)
def test_what_is_no_snapshot_is_said_in_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "s").write_bytes(data)

    with pytest.raises(SnapshotError, match=says) as error:
        load(tmp_path / "s", {"Lake": Lake})

    assert str(tmp_path / "s") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        load(tmp_path / "none", {})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        save(SNAPSHOT, tmp_path / "none" / "s")
