"""What containerd makes of its configuration, and what of it has no effect.

Who pulls since 2.1, the transfer service or as before the CRI part, is decided as in
CheckLocalImagePullConfigs of internal/cri/config; `containerd config dump` does not show that.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k8sdiag.facts.runtime import Runtime, Unused
from k8sdiag.pulls import runtimes
from k8sdiag.pulls.runtimes import Release
from k8sdiag.sources._containerd_files import (
    IMAGES,
    TRANSFER,
    File,
    Found,
    Lost,
    Merged,
    merged,
    quoted,
)
from k8sdiag.sources._kubelet import DEFAULT, duration_seconds

_TIMEOUT = "image_pull_progress_timeout"
_BUFFER = "concurrent_layer_fetch_buffer"
# Field of Runtime -> key; where it is a matter of who pulls, this one's table counts.
_OF_WHO_PULLS = {
    "max_concurrent_downloads": "max_concurrent_downloads",
    "layer_fetch_buffer_bytes": _BUFFER,
    "max_concurrent_unpacks": "max_concurrent_unpacks",
}
_OF_IMAGES = {
    "discard_unpacked_layers": "discard_unpacked_layers",
    "snapshotter": "snapshotter",
    "config_path": "registry.config_path",
}
_CERTS = "/etc/containerd/certs.d:/etc/docker/certs.d"


def effective(
    files: Sequence[File], version: str, release: Release
) -> tuple[Runtime, dict[str, str]]:
    """The settings, and why some values are not among them: {"snapshotter of FILE": reason}."""
    found = merged(files, release)
    defaults = _defaults(release)
    because = _local_because(found.images, defaults) if release >= (2, 1, 0) else ()
    transfers = release >= (2, 1, 0) and not because
    pulls = found.transfer if transfers else found.images
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for field, key in (_OF_WHO_PULLS | _OF_IMAGES).items():
        table = pulls if field in _OF_WHO_PULLS else found.images
        value, source = _value(table, key, defaults)
        if type(value) is type(defaults[key]):
            values[field], sources[field] = value, source
        else:
            wrong[f"{key} of {source}"] = f"{value!r} is no {type(defaults[key]).__name__}"
    text, source = _value(found.images, _TIMEOUT, defaults)
    try:
        values["progress_timeout_seconds"] = duration_seconds(str(text))
        sources["progress_timeout_seconds"] = source
    except ValueError as error:
        wrong[f"{_TIMEOUT} of {source}"] = str(error)
    return Runtime(
        name="containerd",
        version=version,
        downloads_per="node" if release >= (2, 1, 0) else "image",
        local_pulls=not transfers if release >= (2, 1, 0) else None,
        local_because=because,
        sources=sources,
        unused=tuple(_unused(found, transfers, because, defaults)),
        **values,
    ), wrong


def _defaults(release: Release) -> dict[str, Any]:
    timeout = {0.0: "0s", 60.0: "1m0s", 300.0: "5m0s"}
    return {
        "max_concurrent_downloads": 3,
        _BUFFER: 0,
        "max_concurrent_unpacks": 1,
        "snapshotter": "overlayfs",
        "disable_snapshot_annotations": True,
        "discard_unpacked_layers": False,
        "image_pull_with_sync_fs": False,
        "use_local_image_pull": False,
        "registry.config_path": _CERTS if release >= (2, 2, 0) else "",
        "registry.mirrors": 0,
        "registry.configs": 0,
        "registry.auths": 0,
        _TIMEOUT: timeout[runtimes.progress_timeout("containerd", release)],
    }


def _value(found: Found, key: str, defaults: Mapping[str, Any]) -> tuple[Any, str]:
    """The value and where it is from; an empty text is as good as none."""
    written = found.get(key)
    if written is None or written.value == "":
        return defaults[key], DEFAULT
    return written.value, written.path


def _local_because(images: Found, defaults: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes containerd pull by its CRI part: the setting for it, or one of seven others."""

    def differs(key: str) -> bool:
        return bool(_value(images, key, defaults)[0] != defaults[key])

    keys = [
        "disable_snapshot_annotations",
        "discard_unpacked_layers",
        "registry.mirrors",
        "registry.configs",
        "registry.auths",
        "max_concurrent_downloads",
        "image_pull_with_sync_fs",
    ]
    asked = "use_local_image_pull"
    return (asked,) if differs(asked) else tuple(key for key in keys if differs(key))


def _unused(
    found: Merged, transfers: bool, because: tuple[str, ...], defaults: Mapping[str, Any]
) -> Iterator[Unused]:
    """What has no effect and would have one: a default that is written down would not."""
    lost = list(found.lost)
    pulls = found.images
    if transfers:
        pulls = found.transfer
        words = f"the transfer service pulls, and reads {quoted(TRANSFER)}"
        if _BUFFER in found.images:
            lost.append(Lost(_BUFFER, found.images[_BUFFER], "table", words))
    else:
        words = "before 2.1 containerd pulls nothing for the kubelet by its transfer service"
        if because:
            words = f"containerd pulls by {quoted(IMAGES)} because of {', '.join(because)}"
        why = "local" if because else "table"
        lost += [Lost(key, written, why, words) for key, written in found.transfer.items()]
    for each in lost:
        table = pulls if each.key in _OF_WHO_PULLS.values() else found.images
        if each.written.value not in ("", _value(table, each.key, defaults)[0]):
            where = f"{each.written.path} {quoted(each.written.table)}"
            yield Unused(each.key, str(each.written.value), where, each.why, each.because)
