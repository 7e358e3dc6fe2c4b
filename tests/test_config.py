import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8sdiag import config
from k8sdiag.model import Check, Limits, Said, Share


class DamLimits(Limits, frozen=True, kw_only=True):
    warning: Share = 0.7
    rain_mm: float = 40.0


def run() -> Iterator[Said]:
    yield from ()


CHECKS = {
    "dam": Check(id="dam", title="The dam", run=run, limits=DamLimits()),
    "gate": Check(id="gate", title="The gate", run=run),
}


def apply(text: str, folder: Path) -> dict[str, Check]:
    path = folder / "k8sdiag.toml"
    path.write_text(text)
    return config.apply(config.read(path), CHECKS, path)


def test_a_folder_that_is_not_for_us_has_no_file_for_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("K8SDIAG_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o000)
    me = os.geteuid()
    try:
        if me == 0:  # whom no mode keeps out
            os.seteuid(65534)
        with pytest.raises(PermissionError):
            Path("k8sdiag.toml").stat()
        assert config.find(None) is None
    finally:
        os.seteuid(me)
        tmp_path.chmod(0o700)


def test_no_file_keeps_the_defaults() -> None:
    assert config.apply(config.read(None), CHECKS, None) == CHECKS


def test_a_limit_is_set(tmp_path: Path) -> None:
    checks = apply("[checks.dam]\nwarning = 0.5", tmp_path)

    assert checks["dam"].limits == DamLimits(warning=0.5)
    assert checks["gate"] == CHECKS["gate"]


@pytest.mark.parametrize("share", ["0", "1", "0.0"])
def test_none_and_all_are_shares(share: str, tmp_path: Path) -> None:
    limits = apply(f"[checks.dam]\nwarning = {share}\nrain_mm = 80", tmp_path)["dam"].limits

    assert limits == DamLimits(warning=float(share), rain_mm=80)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[checks", "not TOML", id="broken TOML"),
        pytest.param("[check.dam]", r"unknown table \[check\]", id="unknown table"),
        pytest.param("checks = 1", "must be tables", id="no table"),
        pytest.param("[checks.dan]", "no such check", id="unknown check"),
        pytest.param("[checks.dam]\nwaring = 1.0", "did you mean warning?", id="a typing error"),
        pytest.param("[checks.dam]\nx = 1.0", "there are warning, rain_mm", id="unknown limit"),
        pytest.param("[checks.dam]\nwarning = 70", "<= 1.0 - at `\\$.warning`", id="70 for 0.7"),
        pytest.param("[checks.dam]\nwarning = -0.1", ">= 0.0", id="less than nothing"),
        pytest.param("[checks.dam]\nrain_mm = nan", "rain_mm = nan: nothing", id="no number"),
        pytest.param("[checks.dam]\nrain_mm = inf", "rain_mm = inf: nothing", id="endless"),
        pytest.param("[checks]\ndam = 0.5", "must be a table", id="a number for a table"),
        pytest.param("[checks.dam]\nwarning = 'x'", "Expected `float`, got `str`", id="wrong type"),
        pytest.param("[checks.gate]\nx = 1", "has no limits", id="a check without limits"),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=says) as error:
        apply(text, tmp_path)

    assert "k8sdiag.toml" in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="No such file"):
        config.read(tmp_path / "none.toml")


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("K8SDIAG_CONFIG", raising=False)
    assert config.find(None) is None
    Path("k8sdiag.toml").touch()
    assert config.find(None) == Path("k8sdiag.toml")
    monkeypatch.setenv("K8SDIAG_CONFIG", "/etc/k8sdiag.toml")
    assert config.find(None) == Path("/etc/k8sdiag.toml")
    assert config.find(Path("mine.toml")) == Path("mine.toml")
