"""What to type about the container runtime's settings of image pulls, by runtime and version."""

import shlex

from k8sdiag.facts.runtime import Runtime
from k8sdiag.model import Remedy
from k8sdiag.pulls import runtimes

_RESTART = "running containers go on when {} restarts; one node first, then the others"


def longer_deadline(name: str, version: str) -> Remedy:
    """A time without progress that slow disks and registries need, too."""
    release = runtimes.release(version)
    if name == "cri-o":
        if release and runtimes.fixed_timeout(name, release):
            return Remedy(
                summary="upgrade CRI-O: from 1.30.14, 1.31.9, 1.32.4 and 1.33 on it has no such "
                "deadline",
                commands=("crio --version",),
            )
        return Remedy(
            summary="set the deadline yourself, or upgrade CRI-O; " + _RESTART.format("crio"),
            commands=(
                "sudo install -m 0644 90-image-pulls.conf /etc/crio/crio.conf.d/",
                "sudo systemctl restart crio",
                "sudo crio status config | grep pull_progress_timeout",
            ),
            manifest='[crio.image]\npull_progress_timeout = "5m0s"\n',
        )
    if name == "docker":
        return Remedy(
            summary="give cri-dockerd a longer deadline; " + _RESTART.format("cri-docker"),
            commands=(
                "sudo systemctl edit --full cri-docker  # --image-pull-progress-deadline=10m",
                "sudo systemctl restart cri-docker",
            ),
        )
    lines = ('image_pull_progress_timeout = "5m0s"',)
    return in_table(release, lines, "set the deadline of containerd 1.7.10 and later, or upgrade")


def more_downloads(runtime: Runtime, count: int) -> Remedy:
    """As many downloads as pulls: in the table that counts for whoever pulls."""
    if runtime.name == "docker":
        return Remedy(
            summary="raise the downloads of the node; with live-restore containers go on when "
            "docker restarts",
            commands=("sudoedit /etc/docker/daemon.json", "sudo systemctl restart docker"),
            manifest=f'{{"max-concurrent-downloads": {count}}}\n',
        )
    lines = (f"max_concurrent_downloads = {count}",)
    release = runtimes.release(runtime.version)
    transfer = not runtime.local_pulls
    return in_table(release, lines, "raise the downloads of the node", transfer=transfer)


def in_table(
    release: runtimes.Release | None,
    lines: tuple[str, ...],
    summary: str,
    *,
    transfer: bool = False,
) -> Remedy:
    """Lines in the table of containerd's file that this release reads."""
    old = release is not None and release < (2, 0, 0)
    name = "io.containerd.grpc.v1.cri" if old else "io.containerd.cri.v1.images"
    if transfer and not old:
        name = "io.containerd.transfer.v1.local"
    body = "".join(f"  {line}\n" for line in lines)
    return Remedy(
        summary=f"{summary}; {_RESTART.format('containerd')}",
        commands=(
            "sudoedit /etc/containerd/config.toml  # the lines of the manifest, in this table",
            "sudo containerd config dump | grep -A30 -F cri  # shows what it makes of them",
            "sudo systemctl restart containerd",
        ),
        manifest=f"[plugins.'{name}']\n{body}",
    )


def read_table(where: str) -> Remedy:
    return Remedy(
        summary="move the setting to the table that this version reads; where a drop-in takes "
        "its place, to that drop-in",
        commands=(
            "sudo containerd config dump  # what it makes of all its files",
            f"sudoedit {shlex.quote(where.partition(' ')[0])}",
            "sudo systemctl restart containerd",
        ),
    )


def hosts_read(release: runtimes.Release | None) -> Remedy:
    old = release is not None and release < (2, 0, 0)
    name = "io.containerd.grpc.v1.cri" if old else "io.containerd.cri.v1.images"
    return Remedy(
        summary=f"name the folder to containerd; {_RESTART.format('containerd')}",
        commands=(
            "sudoedit /etc/containerd/config.toml  # the lines of the manifest",
            "sudo systemctl restart containerd",
        ),
        manifest=f"[plugins.'{name}'.registry]\n  config_path = '/etc/containerd/certs.d'\n",
    )


def newer_cri_dockerd() -> Remedy:
    return Remedy(
        summary="upgrade cri-dockerd to 0.3.15 or later: it has no deadline for a whole pull, and "
        "unpacking counts as progress",
        commands=("cri-dockerd --version",),
    )
