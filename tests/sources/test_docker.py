"""What dockerd itself says of the same files is in tests/real/test_docker_config.py."""

from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers import gobuild
from tests.dockerfiles import BROKEN, FILE, VALID, Broken, Valid
from tests.hosttree import lay_out, look, run, write


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with the cri-dockerd that stands before dockerd."""
    monkeypatch.setattr(gobuild, "version", lambda path, name: "0.3.15")
    lay_out(tmp_path)
    run(tmp_path, "cri-dockerd")
    return tmp_path


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_what_it_reports(tree: Path, case: Valid) -> None:
    run(tree, "dockerd", *case.arguments, pid=900)
    if case.text is not None:
        write(tree, FILE, case.text)

    found = look(tree)

    assert found.runtime
    assert found.runtime.max_concurrent_downloads == case.reports
    assert found.runtime.sources["max_concurrent_downloads"] == case.source
    assert found.runtime.downloads_per == "node"
    assert found.unseen == {}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_what_it_does_not_start_with_is_no_default(tree: Path, case: Broken) -> None:
    run(tree, "dockerd", *case.arguments, pid=900)
    write(tree, FILE, case.text)

    try:
        found = look(tree)
    except Unavailable as unavailable:
        said = str(unavailable)
    else:
        assert found.runtime
        assert found.runtime.max_concurrent_downloads is None
        (said,) = found.unseen.values()
    assert case.says in said
