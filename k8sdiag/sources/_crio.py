"""From CRI-O's files and flags to what it makes of them, by its version (pkg/config)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from k8sdiag.facts.runtime import Runtime
from k8sdiag.model import Unavailable
from k8sdiag.pulls import runtimes
from k8sdiag.pulls.runtimes import Release
from k8sdiag.readers.host import Host
from k8sdiag.sources._containerd_files import File
from k8sdiag.sources._kubelet import DEFAULT, duration_seconds

# maxParallelDownloads in copy/copy.go of containers/image, which CRI-O pulls by; no setting.
DOWNLOADS = 6


def effective(
    files: Sequence[File], flag: str | None, version: str, release: Release | None
) -> tuple[Runtime, dict[str, str]]:
    """The settings, and why the timeout is not among them. Later files win, the flag over all."""
    text: Any = flag
    source = "--pull-progress-timeout"
    if text is None:
        for file in files:
            image = _table(_table(file.values, "crio"), "image")
            if "pull_progress_timeout" in image:
                text, source = image["pull_progress_timeout"], file.path
    seconds = None
    wrong = {}
    if release and runtimes.fixed_timeout("cri-o", release):
        text = None  # no such setting yet
    if text is None:
        source = DEFAULT
        if release:
            seconds = runtimes.progress_timeout("cri-o", release)
    else:
        try:
            seconds = _seconds(text)
        except ValueError as error:
            wrong[f"pull_progress_timeout of {source}"] = str(error)
    sources = {"max_concurrent_downloads": DEFAULT}
    if seconds is not None:
        sources["progress_timeout_seconds"] = source
    return Runtime(
        name="cri-o",
        version=version,
        max_concurrent_downloads=DOWNLOADS,
        downloads_per="image",
        progress_timeout_seconds=seconds,
        sources=sources,
    ), wrong


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A table with its keys in lower case: CRI-O takes them in any."""
    found = {key.lower(): value for key, value in values.items()}.get(name)
    return {k.lower(): v for k, v in found.items()} if isinstance(found, dict) else {}


def _seconds(value: object) -> float:
    """A number stands for nanoseconds. Raises ValueError for what CRI-O does not start with."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1e9
    return duration_seconds(str(value))


def written_version(host: Host, root: str) -> str:
    """What CRI-O writes down when it starts, "1.34.0+unknown"; "" where it did not.

    Its releases have no version that is linked in. The file is its default version_file, below
    the folder that /var/run is a link to.
    """
    try:
        version = json.loads(host.read(f"{root}/run/crio/version"))
    except (Unavailable, ValueError):
        return ""
    return version.partition("+")[0] if isinstance(version, str) else ""
