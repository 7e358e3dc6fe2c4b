"""k8sdiag.toml -> the limits of the checks, and the findings that are waived.

[checks.etcd-quota]
warning = 0.7

[[waivers]]
code = "dns-search/amplified"
subject = "deployment/shop/*"
reason = "the shop moves to fully qualified names with release 14"
expires = 2026-12-01
"""

import difflib
import math
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from k8sdiag.model import Check, ConfigError, Limits, Waiver

__all__ = ["ConfigError", "apply", "find", "read", "waivers"]

DEFAULT = Path("k8sdiag.toml")


def find(given: Path | None) -> Path | None:
    """The file to read: --config, else $K8SDIAG_CONFIG, else k8sdiag.toml of this folder."""
    if given is not None:
        return given
    if named := os.environ.get("K8SDIAG_CONFIG"):
        return Path(named)
    try:
        return DEFAULT if DEFAULT.is_file() else None
    except OSError:
        return None  # this folder is not for us to see, and nobody has asked for its file


def read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    if unknown := sorted(found.keys() - {"checks", "waivers"}):
        raise ConfigError(
            f"{path}: unknown table [{unknown[0]}]; there are [checks.<id>] and [[waivers]]"
        )
    return found


def apply(
    settings: dict[str, Any], checks: dict[str, Check], path: Path | None
) -> dict[str, Check]:
    """The checks with the limits of the file instead of their defaults."""
    result = dict(checks)
    tables = settings.get("checks", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: checks must be tables: write [checks.<id>]")
    for check_id, values in tables.items():
        check = checks.get(check_id)
        if check is None:
            raise ConfigError(
                f"{path}: [checks.{check_id}]: no such check; `k8sdiag checks` lists them"
            )
        if check.limits is None:
            raise ConfigError(f"{path}: [checks.{check_id}]: this check has no limits to set")
        limits = _limits(values, type(check.limits), f"{path}: [checks.{check_id}]")
        result[check_id] = replace(check, limits=limits)
    return result


def _limits(values: object, known: type[Limits], place: str) -> Limits:
    if not isinstance(values, dict):
        raise ConfigError(f"{place}: it must be a table, with one line for each limit")
    names = known.__struct_fields__
    for name, value in values.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ConfigError(f"{place}: there is no limit {name!r}: {hint}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{place}: {name} = {value}: nothing is above or below that")
    try:
        return msgspec.convert(values, type=known)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}") from error


def waivers(
    settings: dict[str, Any], checks: Iterable[str], path: Path | None
) -> tuple[Waiver, ...]:
    """The waivers of the file, in its order; `checks` are the ids of all that there are."""
    tables = settings.get("waivers", [])
    if not isinstance(tables, list):
        raise ConfigError(f"{path}: waivers must be a list of tables: write [[waivers]]")
    known = set(checks)
    return tuple(
        _waiver(table, known, f"{path}: [[waivers]] number {number}")
        for number, table in enumerate(tables, 1)
    )


def _waiver(table: object, checks: set[str], place: str) -> Waiver:
    try:
        waiver = msgspec.convert(table, type=Waiver)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}") from error
    if bool(waiver.check) == bool(waiver.code):
        raise ConfigError(f"{place}: give one of check and code")
    check_id, slash, slug = waiver.what.partition("/")
    if waiver.code and not slug:
        raise ConfigError(
            f'{place}: code = "{waiver.code}": write CHECK/FINDING, as reports have it'
        )
    if waiver.check and slash:
        raise ConfigError(f'{place}: check = "{waiver.check}" is a finding\'s code: write code =')
    if check_id not in checks:
        raise ConfigError(f'{place}: no such check "{check_id}"; `k8sdiag checks` lists them')
    if not waiver.reason.strip():
        raise ConfigError(f"{place}: its reason is empty: say why these findings may stay")
    if not waiver.subject:
        raise ConfigError(f'{place}: its subject is empty; leave it out, or write "*", for all')
    return waiver
