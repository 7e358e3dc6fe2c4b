"""What CRI-O itself says of the same files is in tests/real/test_crio_config.py."""

from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers import gobuild
from k8sdiag.sources._kubelet import duration_seconds
from tests import hosttree
from tests.criofiles import BROKEN, DROP_INS, MAIN, VALID, Broken, Valid, timeout
from tests.hosttree import look, run, write


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return hosttree.lay_out(tmp_path)


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the program's file tells of its version, by its name."""
    told = {"crio": "1.34.0"}
    monkeypatch.setattr(gobuild, "version", lambda path, name: told.get(name, ""))
    return told


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_what_it_reports(tree: Path, case: Valid) -> None:
    run(tree, "crio", *case.arguments)
    for path, text in case.files.items():
        write(tree, path, text)

    found = look(tree)

    assert found.runtime
    assert found.runtime.progress_timeout_seconds == duration_seconds(case.reports)
    assert found.runtime.sources["progress_timeout_seconds"] == case.source
    assert (found.runtime.max_concurrent_downloads, found.runtime.downloads_per) == (6, "image")
    assert found.unseen == {}


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_what_it_does_not_start_with_is_no_default(tree: Path, case: Broken) -> None:
    run(tree, "crio", *case.arguments)
    for path, text in case.files.items():
        write(tree, path, text)

    try:
        found = look(tree)
    except Unavailable as unavailable:
        said = str(unavailable)
    else:
        assert found.runtime
        assert found.runtime.progress_timeout_seconds is None
        (said,) = found.unseen.values()
    assert case.says in said


VERSIONS = [
    pytest.param("1.28.4", None, 0.0, id="before the deadline"),
    pytest.param("1.29.13", "5s", 0.0, id="before the deadline, whatever a file says"),
    pytest.param("1.30.4", None, 10.0, id="10 s, built in"),
    pytest.param("1.30.10", "0s", 10.0, id="10 s, built in, whatever a file says"),
    pytest.param("1.30.11", None, 10.0, id="10 s, the first with the setting"),
    pytest.param("1.30.14", None, 0.0, id="off again"),
    pytest.param("1.31.2", "2m", 10.0, id="1.31, built in"),
    pytest.param("1.31.3", "2m", 120.0, id="1.31, set"),
    pytest.param("1.31.8", None, 10.0, id="1.31, the last with 10 s"),
    pytest.param("1.31.9", None, 0.0, id="1.31, off"),
    pytest.param("1.32.3", None, 10.0, id="1.32, the last with 10 s"),
    pytest.param("1.32.4", None, 0.0, id="1.32, off"),
    pytest.param("1.33.0", None, 0.0, id="off by default"),
]


@pytest.mark.parametrize(("number", "value", "seconds"), VERSIONS)
def test_what_its_release_does(
    tree: Path, version: dict[str, str], number: str, value: str | None, seconds: float
) -> None:
    version["crio"] = number
    run(tree, "crio")
    write(tree, MAIN, "" if value is None else timeout(f'"{value}"'))

    found = look(tree)

    assert found.runtime
    assert found.runtime.progress_timeout_seconds == seconds
    taken = value is not None and seconds == duration_seconds(value)
    source = f"/{MAIN}" if taken else "default"
    assert found.runtime.sources["progress_timeout_seconds"] == source
    assert found.unseen == {}


@pytest.mark.parametrize(
    ("value", "seconds", "unseen"), [("90s", 90.0, []), (None, None, ["crio of node/node-1"])]
)
def test_an_unknown_version_matters_where_nobody_set_it(
    tree: Path, version: dict[str, str], value: str | None, seconds: float | None, unseen: list[str]
) -> None:
    version.clear()
    run(tree, "crio")
    write(tree, f"{DROP_INS}/a.conf", "" if value is None else timeout(f'"{value}"'))

    found = look(tree)

    assert found.runtime
    assert found.runtime.progress_timeout_seconds == seconds
    assert list(found.unseen) == unseen


@pytest.mark.parametrize(
    ("written", "number"),
    [
        pytest.param('"1.32.3+unknown"', "1.32.3", id="as it writes it"),
        pytest.param('"1.32.3"', "1.32.3", id="without a commit"),
        pytest.param("{}", "", id="something else"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_version_that_it_wrote_down(
    tree: Path, version: dict[str, str], written: str, number: str
) -> None:
    version.clear()
    run(tree, "crio")
    write(tree, "run/crio/version", written)

    found = look(tree).runtime

    assert found
    assert found.version == number
    assert found.progress_timeout_seconds == (10.0 if number else None)
