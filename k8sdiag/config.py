"""k8sdiag.toml -> the limits of the checks.

[checks.etcd-quota]
warning = 0.7
"""

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from k8sdiag.model import Check, ConfigError

__all__ = ["ConfigError", "apply", "find", "read"]

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
    if unknown := sorted(found.keys() - {"checks"}):
        raise ConfigError(f"{path}: unknown table [{unknown[0]}]; there is [checks.<id>]")
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
        try:
            limits = msgspec.convert(values, type=type(check.limits))
        except msgspec.ValidationError as error:
            raise ConfigError(f"{path}: [checks.{check_id}]: {error}") from error
        result[check_id] = replace(check, limits=limits)
    return result
