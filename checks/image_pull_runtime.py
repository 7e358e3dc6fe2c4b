"""The container runtime cancels slow image pulls, or does not do what its files say.

The kubelet sets no deadline for a pull; the runtimes have one for pulls without progress, and in
some versions it is shorter than a busy disk or registry takes. containerd has renamed its tables
twice, and ignores in silence what stands in one that it does not read.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from k8sdiag.checks import _image_pull_runtime_remedy as remedy
from k8sdiag.facts.kubelet import HostKubelet
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.runtime import HostRuntime, Runtime, Unused
from k8sdiag.model import Finding, Limits, Metric, Missing, Said, Severity, Unseen
from k8sdiag.pulls import runtimes


class ImagePullRuntime(Limits, frozen=True, kw_only=True):
    # What is shorter has cancelled good pulls: the 10 s of CRI-O 1.30 and the minute of
    # containerd 1.7.0 and of cri-dockerd; containerd's own default has been 5 minutes since.
    progress_seconds: Annotated[float, Meta(gt=0)] = 120.0


def check(
    host: HostRuntime | Missing,
    kubelet: HostKubelet | Missing,
    nodes: Nodes | Missing,
    limits: ImagePullRuntime,
) -> Iterator[Said]:
    judged = ""
    if isinstance(kubelet, HostKubelet):
        yield from _host(host, kubelet, nodes, limits)
        judged = kubelet.node if isinstance(host, HostRuntime) and host.runtime else ""
    elif kubelet.asked and isinstance(host, HostRuntime) and host.runtime:
        yield Unseen(subject=f"the container runtime of node/{host.node}", reason=kubelet.reason)
    if isinstance(nodes, Nodes):
        yield from _cluster([n for n in nodes.nodes if n.name != judged], limits)
    elif nodes.asked:
        yield Unseen(subject="the cluster", reason=nodes.reason)


def _host(
    host: HostRuntime | Missing,
    kubelet: HostKubelet,
    nodes: Nodes | Missing,
    limits: ImagePullRuntime,
) -> Iterator[Said]:
    """A machine with a container runtime and without a kubelet is no node, and not judged."""
    subject = f"node/{kubelet.node}"
    alone = isinstance(nodes, Missing) and not nodes.asked  # then this host is all there is
    if isinstance(host, Missing):
        if host.asked and (kubelet.settings or (alone and kubelet.running is None)):
            yield Unseen(subject=f"the container runtime of {subject}", reason=host.reason)
    elif kubelet.settings and host.runtime:
        yield from (Unseen(subject=what, reason=why) for what, why in host.unseen.items())
        yield from _runtime(subject, host.runtime, kubelet, limits)
    elif kubelet.running:
        why = "its kubelet runs, and no container runtime that k8sdiag knows"
        yield Unseen(subject=subject, reason=why)


def _runtime(
    subject: str, runtime: Runtime, kubelet: HostKubelet, limits: ImagePullRuntime
) -> Iterator[Finding | Metric]:
    name = runtime.name
    seconds = runtime.progress_timeout_seconds
    if runtime.pull_deadline_seconds:
        yield Finding(
            code="hard-deadline",
            severity=Severity.WARNING,
            subject=subject,
            message=f"cri-dockerd {runtime.version} cancels every pull that takes longer than "
            f"{runtime.pull_deadline_seconds:g}s, whether it goes on or not",
            observed=runtime.pull_deadline_seconds,
            remedy=remedy.newer_cri_dockerd(),
        )
    if seconds and seconds < limits.progress_seconds:
        source = runtime.sources.get("progress_timeout_seconds", "default")
        yield Finding(
            code="short-deadline",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{_called(name)} cancels a pull after {seconds:g}s without progress "
            f"({source}): a busy disk or registry needs longer",
            observed=seconds,
            limit=limits.progress_seconds,
            remedy=remedy.longer_deadline(name, runtime.version),
        )
    for unused in runtime.unused:
        yield _without_effect(subject, unused)
    if runtime.unread_hosts:
        yield Finding(
            code="unread-hosts",
            severity=Severity.WARNING,
            subject=subject,
            message=f"/etc/containerd/certs.d has a hosts.toml of {len(runtime.unread_hosts)} "
            f"registries ({', '.join(runtime.unread_hosts[:3])}), and no config_path of "
            "containerd leads there: mirrors in them are not used",
            remedy=remedy.hosts_read(runtimes.release(runtime.version)),
        )
    yield from _shared(subject, runtime, kubelet)
    yield from _metrics(runtime)


def _called(name: str) -> str:
    return {"cri-o": "CRI-O", "docker": "cri-dockerd"}.get(name, name)


def _without_effect(subject: str, unused: Unused) -> Finding:
    if unused.why == "local":
        code = "local-pulls"
    elif unused.why == "replaced":
        code = "replaced-table"
    else:
        code = "unread-table"
    return Finding(
        code=code,
        severity=Severity.WARNING,
        subject=subject,
        message=f"{unused.setting} = {unused.value} of {unused.where} has no effect: "
        f"{unused.because}",
        remedy=remedy.read_table(unused.where),
    )


def _shared(subject: str, runtime: Runtime, kubelet: HostKubelet) -> Iterator[Finding]:
    """A bound of pulls that somebody chose, above the downloads that all of them share."""
    settings = kubelet.settings
    downloads = runtime.max_concurrent_downloads
    if settings is None or settings.serialize_image_pulls or runtime.downloads_per != "node":
        return
    pulls = settings.max_parallel_image_pulls
    if not downloads or not pulls or pulls <= downloads:
        return
    yield Finding(
        code="shared-downloads",
        severity=Severity.WARNING,
        subject=subject,
        message=f"the kubelet pulls up to {pulls} images at once "
        f"({settings.sources.get('max_parallel_image_pulls', 'default')}), and {runtime.name} "
        f"{runtime.version} downloads no more than {downloads} layers at once for all of them "
        f"({runtime.sources.get('max_concurrent_downloads', 'default')})",
        observed=float(pulls),
        limit=float(downloads),
        remedy=remedy.more_downloads(runtime, 2 * pulls),
    )


def _metrics(runtime: Runtime) -> Iterator[Metric]:
    prefix = {"cri-o": "crio", "docker": "docker"}.get(runtime.name, runtime.name)
    gauges: dict[str, tuple[str, float | None]] = {
        "max_concurrent_downloads": (
            "Layers downloaded at once; 0 is no bound.",
            runtime.max_concurrent_downloads,
        ),
        "image_pull_progress_timeout_seconds": (
            "Without progress for so long, a pull is cancelled; 0 is never.",
            runtime.progress_timeout_seconds,
        ),
        "local_image_pull": (
            "Whether containerd's CRI part pulls, and not its transfer service.",
            runtime.local_pulls,
        ),
    }
    for name, (help_, value) in gauges.items():
        if value is not None:
            yield Metric(name=f"{prefix}_{name}", help=help_, value=float(value))
    labels = {"version": runtime.version, "snapshotter": runtime.snapshotter or ""}
    yield Metric(
        name=f"{prefix}_config_info", help="The runtime of this host; 1.", value=1.0, labels=labels
    )


def _cluster(nodes: list[Node], limits: ImagePullRuntime) -> Iterator[Finding | Unseen]:
    """What the versions of the other nodes' runtimes tell of their deadlines."""
    pools: dict[tuple[str, str], list[Node]] = {}
    unknown: list[Node] = []
    for node in nodes:
        name, release = runtimes.of_node(node.runtime)
        # Of cri-dockerd, whose deadline counts beside Docker, nodes do not tell the version.
        if release is None or name not in ("containerd", "cri-o"):
            unknown.append(node)
            continue
        seconds = runtimes.progress_timeout(name, release)
        if 0 < seconds < limits.progress_seconds:
            pools.setdefault((node.pool, node.runtime), []).append(node)
    if unknown:
        one = min(unknown, key=lambda node: node.name)
        why = f"{one.name} calls its own {one.runtime or 'nothing'}, which does not tell after how "
        why += "long without progress it cancels a pull: run `k8sdiag node` there"
        yield Unseen(subject=f"the container runtimes of {len(unknown)} nodes", reason=why)
    for (pool, runtime), found in sorted(pools.items()):
        name, release = runtimes.of_node(runtime)
        version = runtime.partition("://")[2]
        if release is None:
            continue
        subject, many = f"pool/{pool or 'unnamed'}", f"{len(found)} nodes"
        seconds = runtimes.progress_timeout(name, release)
        said = f"{_called(name)} {version} on {many}"
        if runtimes.fixed_timeout(name, release):
            yield Finding(
                code="short-deadline",
                severity=Severity.WARNING,
                subject=subject,
                message=f"{said} cancels a pull after {seconds:g}s without progress, and no "
                "setting changes that: a busy disk or registry needs longer",
                observed=seconds,
                limit=limits.progress_seconds,
                remedy=remedy.longer_deadline(name, version),
            )
        else:
            why = f"{said} cancels a pull after {seconds:g}s without progress unless a file of "
            why += "the node says otherwise: run `k8sdiag node` there"
            yield Unseen(subject=subject, reason=why)
