"""Find the modules that are checks, sources and exporters: ours, then every plugin's.

A plugin package names itself in an entry point group (k8sdiag.checks, k8sdiag.sources or
k8sdiag.exporters); the entry point is one module, or a package of modules. Nothing
registers itself: a module counts because of where it is and what it defines.
"""

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from types import ModuleType

from msgspec import Struct

from k8sdiag.model import Check, Fact, Limits, Missing, Permission


class PluginError(Exception):
    """A module does not keep the contract; the message names the file and the mend."""


class Source(Struct, frozen=True):
    """One module with `collect(door) -> SomeFact`: the door it looks through and what it sees."""

    name: str
    collect: Callable[..., Fact]
    door: type
    fact: type[Fact]
    rank: int = 0  # of several sources of one fact, the lowest that can wins
    permissions: tuple[Permission, ...] = ()
    per_scrape: bool = True  # False: too dear, or of no use, for an exporter's every scrape
    keep_seconds: float = 0.0  # an exporter looks again only after so long: files, not the kernel
    last: bool = False  # it looks when all others of its door have


Broken = dict[str, str]  # module name -> why it can't be used


def modules(group: str) -> tuple[list[ModuleType], Broken]:
    """Every module of a group, e.g. "k8sdiag.checks": our own first, then the plugins'."""
    found: list[ModuleType] = []
    broken: Broken = {}
    for package in [group, *(p.value for p in sorted(entry_points(group=group)))]:
        for name in _names(package, broken):
            try:
                found.append(importlib.import_module(name))
            except Exception as error:  # noqa: BLE001 - a stranger's module can raise anything
                broken[name] = f"does not import: {error!r}"
    return found, broken


def _names(package: str, broken: Broken) -> Iterator[str]:
    try:
        module = importlib.import_module(package)
    except Exception as error:  # noqa: BLE001 - as above
        broken[package] = f"does not import: {error!r}"
        return
    if not hasattr(module, "__path__"):
        yield package
        return
    for info in pkgutil.iter_modules(module.__path__, package + "."):
        if not info.name.rpartition(".")[2].startswith("_"):
            yield info.name


def checks() -> dict[str, Check]:
    """Every check by its id; what can't be used is among them, with the reason."""
    found: dict[str, Check] = {}
    loaded, broken = modules("k8sdiag.checks")
    for module in loaded:
        try:
            check = read_check(module)
        except PluginError as error:
            broken[module.__name__] = str(error)
            continue
        if check.id in found:
            broken[module.__name__] = f"is a second check {check.id}: rename {module.__file__}"
        else:
            found[check.id] = check
    for name, why in broken.items():
        # Never under the id of a good check: a plugin must not hide one of ours.
        check_id = _id(name) if _id(name) not in found else name
        found[check_id] = Check(id=check_id, title=f"The plugin {name}", broken=f"{name} {why}")
    return dict(sorted(found.items()))


def read_check(module: ModuleType) -> Check:
    doc = inspect.getdoc(module) or ""
    title = doc.partition("\n")[0].rstrip(".")
    run = getattr(module, "check", None)
    if not title or not inspect.isfunction(run):
        raise PluginError(f"{module.__file__}: a check needs a docstring and def check(...)")
    hints = {k: v for k, v in _hints(module, run).items() if k != "return"}
    limits = hints.pop("limits", None)
    needs: dict[str, type[Fact]] = {}
    optional = set()
    for name, hint in hints.items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        fact = [o for o in options if isinstance(o, type) and issubclass(o, Fact)]
        if len(fact) != 1 or not set(options) <= {*fact, Missing}:
            raise PluginError(
                f"{module.__file__}: annotate {name} with a Fact, or with SomeFact | Missing"
            )
        needs[name] = fact[0]
        if Missing in options:
            optional.add(name)
    if limits is not None and not (isinstance(limits, type) and issubclass(limits, Limits)):
        raise PluginError(f"{module.__file__}: annotate limits with a subclass of Limits")
    return Check(
        id=_id(module.__name__),
        title=title,
        doc=doc,
        run=run,
        needs=needs,
        optional=frozenset(optional),
        limits=limits() if limits else None,
    )


def sources() -> tuple[list[Source], Broken]:
    """Every source, the preferred one of each fact first, and the modules that are none."""
    loaded, broken = modules("k8sdiag.sources")
    found = []
    for module in loaded:
        try:
            found.append(read_source(module))
        except PluginError as error:
            broken[module.__name__] = str(error)
    return sorted(found, key=lambda s: (s.rank, s.name)), broken


def read_source(module: ModuleType) -> Source:
    collect = getattr(module, "collect", None)
    if not inspect.isfunction(collect):
        raise PluginError(f"{module.__file__}: a source needs def collect(reader) -> SomeFact")
    hints = _hints(module, collect)
    fact = hints.pop("return", None)
    if not (isinstance(fact, type) and issubclass(fact, Fact)) or len(hints) != 1:
        raise PluginError(f"{module.__file__}: annotate collect's reader and the Fact it returns")
    return Source(
        name=module.__name__.rpartition(".")[2],
        collect=collect,
        door=next(iter(hints.values())),
        fact=fact,
        rank=getattr(module, "RANK", 0),
        permissions=getattr(module, "PERMISSIONS", ()),
        keep_seconds=getattr(module, "KEEP_SECONDS", 0.0),
        per_scrape=getattr(module, "PER_SCRAPE", True),
        last=getattr(module, "LAST", False),
    )


def exporters() -> tuple[dict[str, ModuleType], Broken]:
    """Every module with `render(report) -> str` by its format: its FORMAT, else its own name."""
    loaded, broken = modules("k8sdiag.exporters")
    found: dict[str, ModuleType] = {}
    for module in loaded:
        name = getattr(module, "FORMAT", _id(module.__name__))
        if not hasattr(module, "render"):
            broken[module.__name__] = "has no render(report)"
        elif name in found:  # a plugin must not hide one of ours
            broken[module.__name__] = f"is a second exporter called {name}"
        else:
            found[name] = module
    return found, broken


def fact_types() -> dict[str, type[Fact]]:
    """Every fact type that a source gives or a check needs, by name: what a snapshot can hold."""
    found = {s.fact.__name__: s.fact for s in sources()[0]}
    for check in checks().values():
        found |= {fact.__name__: fact for fact in check.needs.values()}
    return found


def _id(name: str) -> str:
    return name.rpartition(".")[2].replace("_", "-")


def _hints(module: ModuleType, function: Callable[..., object]) -> dict[str, typing.Any]:
    try:
        return typing.get_type_hints(function)
    except Exception as error:
        raise PluginError(f"{module.__file__}: its annotations do not resolve: {error}") from error
