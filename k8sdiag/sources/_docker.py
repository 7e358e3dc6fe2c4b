"""From the flags of cri-dockerd and dockerd and from daemon.json to what they make of them."""

from collections.abc import Mapping
from typing import Any

from k8sdiag.facts.runtime import Runtime
from k8sdiag.pulls import runtimes
from k8sdiag.pulls.runtimes import Release
from k8sdiag.sources._kubelet import DEFAULT, duration_seconds

DEADLINE_FLAG = "image-pull-progress-deadline"
DOWNLOADS_KEY = "max-concurrent-downloads"  # a flag of dockerd, and a key of daemon.json
_HARD_UNTIL = (0, 2, 6)  # before it, cri-dockerd ended each pull after its request timeout


def effective(
    deadline: str | None,
    downloads_flag: str | None,
    daemon: Mapping[str, Any],
    file: str,
    version: str,
    release: Release | None,
) -> tuple[Runtime, dict[str, str]]:
    """The settings, and why some values are not among them."""
    wrong = {}
    sources = {}
    seconds = downloads = None
    try:
        default = runtimes.progress_timeout("cri-dockerd", release or (0, 0, 0))
        seconds = default if deadline is None else duration_seconds(deadline)
        sources["progress_timeout_seconds"] = f"--{DEADLINE_FLAG}" if deadline else DEFAULT
    except ValueError as error:
        wrong[f"--{DEADLINE_FLAG}"] = str(error)
    source = DEFAULT
    try:
        if downloads_flag is not None:  # dockerd starts with only one of the two
            source = f"--{DOWNLOADS_KEY}"
            downloads = _count(int(downloads_flag, 0))
        elif daemon.get(DOWNLOADS_KEY):  # a 0 of the file is as if it were not there
            source = file
            downloads = _count(daemon[DOWNLOADS_KEY])
        else:
            downloads = 3
        sources["max_concurrent_downloads"] = source
    except ValueError:
        wrong[f"{DOWNLOADS_KEY} of {source}"] = "it is no whole number of 0 and more"
    return Runtime(
        name="docker",
        version=version,
        max_concurrent_downloads=downloads,
        downloads_per="node",
        progress_timeout_seconds=seconds,
        # Two minutes (--runtime-request-timeout), less one second.
        pull_deadline_seconds=119.0 if release and release < _HARD_UNTIL else 0.0,
        sources=sources,
    ), wrong


def _count(value: object) -> int:
    """Raises ValueError for what dockerd does not start with: "4", 4.0, true, -1."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError
