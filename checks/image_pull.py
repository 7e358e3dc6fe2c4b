"""Pulling its images keeps a node that starts cold out of use for long.

A new or re-imaged node pulls everything at once, one image at a time unless the kubelet is told
otherwise. While nodes were small nobody noticed; with 60 GB of images it takes half an hour.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from k8sdiag.checks._image_pull_remedy import in_parallel, smaller_or_nearer, without_flag
from k8sdiag.coldstart import MIB, Rates, streams_of
from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Limits, Metric, Missing, Said, Severity, Unseen, Usage
from k8sdiag.pullforecast import Forecast, Known, forecasts, shipped

_Positive = Annotated[float, Meta(gt=0)]


class ImagePull(Limits, frozen=True, kw_only=True):
    # progressDeadlineSeconds of a Deployment unless set: past it a rollout counts as failed.
    progress_deadline_seconds: _Positive = 600.0
    # Twice the cluster autoscaler's --max-node-provision-time of 15m: past it even if the
    # assumed rates are half of the real ones.
    critical_minutes: float = 30.0
    # Parallel pulls have to bring a cold start to this part of itself, or they are no remedy.
    gain: float = 0.8
    # Pulled at once by the remedy: 2 to 3 on a slow disk, up to 10 on NVMe.
    parallel_pulls: Annotated[int, Meta(gt=0)] = 5
    # The kubelet's first back-off of an image pull (imageBackOffPeriod in pkg/kubelet).
    backoff_seconds: float = 10.0
    # Assumed of every node, see k8sdiag.coldstart.Rates.
    stream_mib_per_second: _Positive = 60.0
    gunzip_mib_per_second: _Positive = 80.0
    disk_mib_per_second: _Positive = 1000.0
    link_mib_per_second: _Positive = 1192.0  # 10 Gbit/s

    @property
    def rates(self) -> Rates:
        return Rates(
            stream_bytes_per_second=self.stream_mib_per_second * MIB,
            gunzip_bytes_per_second=self.gunzip_mib_per_second * MIB,
            disk_bytes_per_second=self.disk_mib_per_second * MIB,
            link_bytes_per_second=self.link_mib_per_second * MIB,
        )


def check(
    nodes: Nodes | Missing,
    pods: Pods | Missing,
    kubelets: KubeletConfigs | Missing,
    host: HostKubelet | Missing,
    limits: ImagePull,
) -> Iterator[Said]:
    if isinstance(host, HostKubelet):
        yield from _host(host)
        if host.running is None and isinstance(nodes, Missing) and not nodes.asked:
            yield Unseen(subject=f"the kubelet of node/{host.node}", reason=host.unseen)
    if isinstance(nodes, Missing) or isinstance(pods, Missing):
        absent = [f.reason for f in (nodes, pods) if isinstance(f, Missing) and f.asked]
        yield from (Unseen(subject="the cluster", reason=why) for why in dict.fromkeys(absent))
        return
    known = Known(nodes, kubelets, host)
    pools: dict[str, list[Forecast]] = {}
    for forecast in forecasts(nodes, pods, known, limits.rates, remedy_slots=limits.parallel_pulls):
        pools.setdefault(forecast.demand.node.pool, []).append(forecast)
    for pool in sorted(pools):
        yield from _pool(_subject(pool), pools[pool], limits)
    yield from _unseen([f for pool in sorted(pools) for f in pools[pool]], limits)


def _subject(pool: str) -> str:
    return f"pool/{pool or 'unnamed'}"


def _pool(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Said]:
    late = limits.progress_deadline_seconds
    worst = max(forecasts, key=lambda f: f.least_seconds)
    yield Usage(
        limit_id="node-cold-start",
        subject=subject,
        used=round(worst.least_seconds, 1),
        limit=late,
        unit="seconds",
        driver="pods_per_node",
        source=f"at least, for {worst.what}, {worst.how}; {_assumed(worst, limits)}; against "
        "progressDeadlineSeconds of a Deployment",
    )
    for pulls in ("serial", "parallel"):
        yield Metric(
            name="node_cold_start_seconds",
            help="At least so long pulls the slowest node of a pool when it starts cold, one "
            "image at a time (serial) or as many at once as it may, if known (parallel).",
            value=round(max(getattr(f, f"{pulls}_seconds") for f in forecasts), 1),
            labels={"pool": subject.removeprefix("pool/"), "pulls": pulls},
        )
    slow = [f for f in forecasts if f.least_seconds >= late]
    yield from _slow(subject, "serialized", [f for f in slow if _serialized(f, limits)], limits)
    yield from _slow(subject, "long", [f for f in slow if not _serialized(f, limits)], limits)
    yield from _refused(subject, forecasts, limits)


def _serialized(forecast: Forecast, limits: ImagePull) -> bool:
    """Whether it is long because the kubelet pulls one image at a time."""
    return forecast.serial and _helps(forecast, limits)


def _helps(forecast: Forecast, limits: ImagePull) -> bool:
    """Whether more pulls at once can be worth it."""
    return forecast.remedy_seconds <= limits.gain * forecast.least_seconds


def _slow(subject: str, code: str, slow: list[Forecast], limits: ImagePull) -> Iterator[Finding]:
    if not slow:
        return
    worst = max(slow, key=lambda f: f.least_seconds)
    helps = _helps(worst, limits)
    node = worst.demand.node
    than = f" ({limits.parallel_pulls} at once: {_time(worst.remedy_seconds)})" if helps else ""
    more = f"{len(slow) - 1} more of its nodes take too long as well; " if len(slow) > 1 else ""
    critical = worst.least_seconds >= limits.critical_minutes * 60
    yield Finding(
        code=code,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        subject=subject,
        message=f"a cold start pulls {worst.what} {worst.how}: that takes "
        f"{_time(worst.least_seconds)} or more{than}; {more}{_assumed(worst, limits)}",
        observed=round(worst.least_seconds, 1),
        limit=limits.progress_deadline_seconds,
        remedy=in_parallel(node, limits.parallel_pulls) if helps else smaller_or_nearer(node),
    )


def _refused(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Finding]:
    """Pulls past the burst are not queued but refused: "pull QPS exceeded"."""
    refused = [f for f in forecasts if f.demand.pods > _allowed(f, limits)]
    if not refused:
        return
    worst = max(refused, key=lambda f: f.demand.pods)
    asks, allowed = worst.demand.pods, _allowed(worst, limits)
    yield Finding(
        code="refused",
        severity=Severity.WARNING,
        subject=subject,
        message=f"when {worst.demand.node.name} starts cold, {asks} pods ask for an image at once, "
        f"{worst.how}; registryPullQPS and registryBurst let {allowed:.0f} start in "
        f'{limits.backoff_seconds:g}s and refuse the others ("pull QPS exceeded"), whose back-off '
        "doubles up to 5 minutes",
        observed=float(asks),
        limit=allowed,
        remedy=in_parallel(worst.demand.node, limits.parallel_pulls),
    )


def _allowed(forecast: Forecast, limits: ImagePull) -> float:
    """How many pods may ask at once before some have to back off more than once."""
    settings = forecast.settings
    if settings is None or settings.registry_burst is None or not settings.registry_pull_qps:
        return float("inf")
    if (settings.slots or 1) <= settings.registry_burst:
        return float("inf")  # what waits for a slot is not refused
    return settings.registry_burst + settings.registry_pull_qps * limits.backoff_seconds


def _unseen(forecasts: list[Forecast], limits: ImagePull) -> Iterator[Unseen]:
    """What the verdict would need to know: nothing where it would be the same either way."""
    late = limits.progress_deadline_seconds
    unknown = [f for f in forecasts if f.settings is None and f.serial_seconds >= late]
    if unknown:
        worst = max(unknown, key=lambda f: f.serial_seconds)
        yield Unseen(
            subject=_worst_pool(worst, unknown),
            reason=f"a cold start pulls {worst.what} in {_time(worst.parallel_seconds)} or more "
            f"in parallel, in {_time(worst.serial_seconds)} or more one at a time, and which is "
            f"unknown{shipped(worst.demand.node)}: {worst.why}",
        )
    quiet = [f for f in forecasts if f.least_seconds < late]
    unsized = [f for f in quiet if f.least_seconds >= late * f.demand.coverage]
    if unsized:
        worst = max(unsized, key=lambda f: f.demand.unsized)
        demand = worst.demand
        yield Unseen(
            subject=_worst_pool(worst, unsized),
            reason=f"no node tells the sizes of {demand.unsized} of the {demand.count} images of "
            f"{demand.node.name}; nodeStatusMaxImages: -1 in the kubelets' configuration lists "
            "them all",
        )


def _worst_pool(worst: Forecast, among: list[Forecast]) -> str:
    others = len({f.demand.node.pool for f in among}) - 1
    more = f" and {others} more pool{'s' if others > 1 else ''}" if others else ""
    return _subject(worst.demand.node.pool) + more


def _host(host: HostKubelet) -> Iterator[Said]:
    settings = host.settings
    if settings is None:
        return
    if settings.image_pull_progress_deadline_seconds is not None:
        yield Finding(
            code="removed-flag",
            severity=Severity.WARNING,
            subject=f"node/{host.node}",
            message="the kubelet is given --image-pull-progress-deadline, with which one of "
            "Kubernetes 1.24 or later does not start",
            remedy=without_flag(),
        )
    gauges = (
        ("kubelet_serialize_image_pulls", settings.serialize_image_pulls),
        # Absent is no bound, as in the kubelet's own configuration.
        ("kubelet_max_parallel_image_pulls", settings.max_parallel_image_pulls or None),
        ("kubelet_registry_pull_qps", settings.registry_pull_qps),
        ("kubelet_registry_burst", settings.registry_burst),
    )
    for name, value in gauges:
        if value is not None:
            yield Metric(name=name, help=f"{name} of this host's kubelet.", value=float(value))


def _assumed(forecast: Forecast, limits: ImagePull) -> str:
    streams, per_node = streams_of(forecast.demand.node.runtime)
    return (
        f"assumed: {streams} downloads at once per {'node' if per_node else 'image'}, "
        f"{limits.stream_mib_per_second:g} MiB/s each, {limits.gunzip_mib_per_second:g} MiB/s "
        f"gunzip, {limits.disk_mib_per_second:g} MiB/s disk"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
