"""From CRI-O's files and flags to what it makes of them, by its version (pkg/config)."""

from collections.abc import Sequence
from typing import Any

from k8sdiag.facts.runtime import Runtime
from k8sdiag.pulls import runtimes
from k8sdiag.pulls.runtimes import Release
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
            image = file.values.get("crio", {}).get("image", {})
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
            seconds = duration_seconds(str(text))
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
