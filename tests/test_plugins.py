import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from k8sdiag import plugins
from k8sdiag.model import Fact, Finding, Limits, Missing, Said

PLUGIN = Path(__file__).parent / "plugin"


class Pond(Fact, frozen=True, kw_only=True):
    pass


class PondLimits(Limits, frozen=True, kw_only=True):
    most: int = 3


def module(doc: str | None = "The pond.", **content: object) -> ModuleType:
    made = ModuleType("k8sdiag.checks.deep_pond", doc)
    made.__file__ = "deep_pond.py"
    vars(made).update(content)
    return made


def good(pond: Pond, other: Pond | Missing, limits: PondLimits) -> Iterator[Said]:
    yield from ()


def test_a_check_is_read_from_its_module() -> None:
    check = plugins.read_check(module("The pond is deep.\n\nMore.", check=good))

    assert (check.id, check.title) == ("deep-pond", "The pond is deep")
    assert check.needs == {"pond": Pond, "other": Pond}
    assert check.optional == {"other"}
    assert check.limits == PondLimits()


def unannotated(pond) -> Iterator[Finding]:  # type: ignore[no-untyped-def]
    yield from ()


def no_fact(pond: int) -> Iterator[Finding]:
    yield from ()


def maybe_none(pond: Pond | None) -> Iterator[Finding]:
    yield from ()


def bad_limits(pond: Pond, limits: int) -> Iterator[Finding]:
    yield from ()


def unresolved(pond: "Lake") -> Iterator[Finding]:  # type: ignore[name-defined] # noqa: F821
    yield from ()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param(module(None, check=good), "needs a docstring", id="no docstring"),
        pytest.param(module(), "needs a docstring and def check", id="no check"),
        pytest.param(module(check=no_fact), "annotate pond", id="no fact"),
        pytest.param(module(check=maybe_none), "annotate pond", id="None instead of Missing"),
        pytest.param(module(check=bad_limits), "annotate limits", id="limits of another type"),
        pytest.param(module(check=unresolved), "do not resolve", id="unknown name"),
    ],
)
def test_what_breaks_the_contract_is_named_with_its_file(broken: ModuleType, says: str) -> None:
    with pytest.raises(plugins.PluginError, match=says) as error:
        plugins.read_check(broken)

    assert "deep_pond.py" in str(error.value)


def test_our_own_checks_sources_and_exporters_all_load() -> None:
    assert {"etcd-quota", "dns-search", "neighbor-table", "image-pull"} <= plugins.checks().keys()
    assert [c.broken for c in plugins.checks().values() if c.broken] == []
    assert plugins.sources()[1] == {}
    assert plugins.exporters()[1] == {}


def test_every_fact_that_a_check_needs_has_a_source() -> None:
    given = {source.fact for source in plugins.sources()[0]}

    for check in plugins.checks().values():
        assert set(check.needs.values()) <= given, check.id


def test_a_plugin_that_does_not_import_costs_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[importlib.metadata.EntryPoint]:
        named = {"k8sdiag.checks": "k8sdiag_acme.checks", "k8sdiag.sources": "k8sdiag_acme.uptime"}
        if group not in named:
            return []
        return [importlib.metadata.EntryPoint("acme", named[group], group)]

    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setattr(plugins, "entry_points", points)
    try:
        checks = plugins.checks()
        assert checks["acme-uptime"].broken == ""
        assert "package_that_nobody_has" in checks["acme-broken"].broken
        assert checks["etcd-quota"].broken == ""
    finally:
        for name in [n for n in sys.modules if n.startswith("k8sdiag_acme")]:
            del sys.modules[name]


def test_a_plugin_package_that_is_gone_is_one_broken_check(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("gone", "package_that_is_gone", "k8sdiag.checks")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])

    assert "No module named" in plugins.checks()["package-that-is-gone"].broken
