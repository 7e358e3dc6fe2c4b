"""From a KubeletConfiguration, drop-ins and flags to what the kubelet makes of them.

The order is that of cmd/kubelet/app/server.go: the --config file, with defaults filled in;
over it the drop-ins of --config-dir as JSON merge patches; over all of it the flags.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from k8sdiag.facts.kubelet import KubeletSettings

DEFAULT = "default"
_Found = dict[str, tuple[object, str]]  # a setting's name -> its value and its source


def duration_seconds(text: str) -> float:
    """A Go duration, "1m0.5s"; raises ValueError for anything else."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    part = r"(\d+\.?\d*|\.\d+)(h|ms|us|µs|ns|m|s)"
    if text == "0":
        return 0.0
    if not re.fullmatch(f"(?:{part})+", text):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * units[unit] for number, unit in re.findall(part, text))


def _boolean(value: object) -> bool:
    """A flag as Go's strconv.ParseBool reads it."""
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return int(value, 0)
    raise ValueError(f"{value!r} is no whole number")


def _path(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is no path")


def _duration(value: object) -> float:
    if isinstance(value, str):
        return duration_seconds(value)
    raise ValueError(f"{value!r} is no duration")


class _Field(Struct, frozen=True):
    name: str  # in KubeletSettings
    key: str  # in KubeletConfiguration; "": only a flag
    flag: str  # "": only in a file
    parse: Callable[[object], bool | int | float | str]
    default: bool | int | str | None = None


# Defaults: pkg/kubelet/apis/config/v1beta1/defaults.go, the same in every release since 1.12.
_FIELDS = (
    _Field("serialize_image_pulls", "serializeImagePulls", "serialize-image-pulls", _boolean, True),
    _Field("max_parallel_image_pulls", "maxParallelImagePulls", "", _integer, 0),
    _Field("registry_pull_qps", "registryPullQPS", "registry-qps", _integer, 5),
    _Field("registry_burst", "registryBurst", "registry-burst", _integer, 10),
    _Field("node_status_max_images", "nodeStatusMaxImages", "node-status-max-images", _integer, 50),
    _Field(
        "image_gc_high_threshold_percent",
        "imageGCHighThresholdPercent",
        "image-gc-high-threshold",
        _integer,
        85,
    ),
    _Field("resolv_conf", "resolvConf", "resolv-conf", _path, "/etc/resolv.conf"),
    _Field("image_pull_progress_deadline_seconds", "", "image-pull-progress-deadline", _duration),
)
_FLAGS = {field.flag for field in _FIELDS if field.flag}
_WHERE = {"config", "config-dir", "hostname-override"}
_SWITCHES = {"serialize-image-pulls"}  # "--x" alone is true, and takes no word after it


class Layer(Struct, frozen=True):
    """One configuration file; `values` None: it could not be read."""

    source: str
    values: Mapping[str, Any] | None


def flags(arguments: Sequence[str]) -> dict[str, str]:
    """The flags that matter here, the last of each; all other words are dropped unread.

    The kubelet takes "_" for "-" in a flag's name (WordSepNormalizeFunc).
    """
    found = {}
    for i, word in enumerate(arguments):
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("_", "-")
        if name not in _FLAGS | _WHERE:
            continue
        if name in _SWITCHES:
            value = value if equals else "true"
        elif not equals:
            value = arguments[i + 1] if i + 1 < len(arguments) else ""
        found[name] = value
    return found


def reported(config: Mapping[str, Any], source: str) -> KubeletSettings:
    """The settings that a kubelet itself tells: defaults are in, an absent bound is none."""
    found: _Found = {f.name: (config[f.key], source) for f in _FIELDS if f.key in config}
    found.setdefault("max_parallel_image_pulls", (0, source))
    return _settings(found)[0]


def effective(
    config: Layer, dropins: Iterable[Layer], given: Mapping[str, str]
) -> tuple[KubeletSettings, dict[str, str]]:
    """The settings, and why some values are not among them: {"registry_burst of FILE": reason}.

    Nothing below a file that could not be read is known, except what a layer above it sets.
    """
    found: _Found = {}
    readable = True
    for position, layer in enumerate([config, *dropins]):
        if layer.values is None:
            found.clear()
            readable = False
            continue
        for field in _FIELDS:
            if field.key and field.key in layer.values:
                found[field.name] = (layer.values[field.key], layer.source)
                if layer.values[field.key] is None:  # null: as if no layer had set it
                    del found[field.name]
        if position == 0:
            _fill_in(found)
    if readable:
        _fill_in(found)
    for field in _FIELDS:
        if field.flag and field.flag in given:
            found[field.name] = (given[field.flag], f"--{field.flag}")
    return _settings(found)


def _fill_in(found: _Found) -> None:
    """SetDefaults_KubeletConfiguration: a bound of two or more implies parallel pulls."""
    bound = found.get("max_parallel_image_pulls", (0, ""))[0]
    if isinstance(bound, int) and bound >= 2:
        found.setdefault("serialize_image_pulls", (False, DEFAULT))
    for field in _FIELDS:
        if field.default is not None:
            found.setdefault(field.name, (field.default, DEFAULT))


def _settings(found: _Found) -> tuple[KubeletSettings, dict[str, str]]:
    values: dict[str, Any] = {}
    sources = {}
    wrong = {}
    for field in _FIELDS:
        if field.name not in found:
            continue
        value, source = found[field.name]
        try:
            values[field.name] = field.parse(value)
            sources[field.name] = source
        except ValueError as error:
            wrong[f"{field.name} of {source}"] = str(error)
    return KubeletSettings(**values, sources=sources), wrong
