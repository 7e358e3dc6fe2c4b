"""Verdicts of image-pull on what a node needs first, and on how its disk bears many pulls."""

import math
from collections.abc import Iterator

from k8sdiag.checks._image_pull_limits import ImagePull, basis, time
from k8sdiag.checks._image_pull_remedy import critical_first, in_parallel, smaller_or_nearer
from k8sdiag.model import Finding, Said, Severity, Usage
from k8sdiag.pulls.forecast import Forecast
from k8sdiag.pulls.nodeimages import Demand, only
from k8sdiag.pulls.simulation import simulate


def daemons_late(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Said]:
    """A new node, which has no other pods yet, until its DaemonSets run."""
    worst = max(forecasts, key=lambda f: f.new_seconds)
    yield Usage(
        limit_id="node-provision",
        subject=subject,
        used=round(worst.new_seconds, 1),
        limit=limits.provision_seconds,
        unit="seconds",
        driver="daemonsets",
        source=f"at least, for the DaemonSet and static pods of {worst.demand.node.name} on a new "
        f"node, {worst.how}; against an autoscaler's patience with a new node",
    )
    if worst.new_seconds < limits.provision_seconds:
        return
    yield Finding(
        code="daemonsets",
        severity=Severity.WARNING,
        subject=subject,
        message=f"a new node like {worst.demand.node.name} needs {time(worst.new_seconds)} or more "
        f"until the images of its DaemonSets are there, {worst.how}; autoscalers wait "
        f"{time(limits.provision_seconds)} for a node; {basis(worst, limits)}",
        observed=round(worst.new_seconds, 1),
        limit=limits.provision_seconds,
        remedy=smaller_or_nearer(worst.demand.node),
    )


def critical_late(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Finding]:
    """What the node can't be ready without waits behind large images that others asked for."""
    late = [f for f in forecasts if f.critical_seconds >= limits.not_ready_seconds]
    queued = [f for f in late if f.critical_seconds >= 2 * _alone(f)]
    if not queued:
        return
    worst = max(queued, key=lambda f: f.critical_seconds)
    largest = max(_not_critical(worst.demand), default=0.0)
    yield Finding(
        code="queued",
        severity=Severity.WARNING,
        subject=subject,
        message=f"on {worst.demand.node.name} the images of {sum(worst.demand.critical)} "
        f"node-critical pods are there after {time(worst.critical_seconds)}, alone after "
        f"{time(_alone(worst))}: {worst.how}, they queue behind those of older pods, the largest "
        f"of {largest / 1e9:.3g} GB; a node that is not ready for "
        f"{time(limits.not_ready_seconds)} loses its pods"
        + (f"; {len(queued) - 1} more of its nodes as well" if len(queued) > 1 else ""),
        observed=round(worst.critical_seconds, 1),
        limit=limits.not_ready_seconds,
        remedy=critical_first(worst.demand.node, limits.parallel_pulls),
    )


def _alone(forecast: Forecast) -> float:
    start = only(forecast.demand.cold, forecast.demand.critical)
    return simulate(start, forecast.puller, forecast.rates).seconds


def _not_critical(demand: Demand) -> Iterator[float]:
    """The compressed bytes of the images that only other pods need."""
    pods = list(zip(demand.cold.pods, demand.critical, strict=True))
    critical = {image for pod, is_critical in pods if is_critical for image in pod}
    others = {image for pod, _ in pods for image in pod} - critical
    return (demand.cold.images[image].compressed_bytes for image in others)


def unbounded(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Finding]:
    """Only where somebody said that the disk is slow: of itself no node tells."""
    if limits.disk_mib_per_second > limits.slow_disk_mib_per_second:
        return
    free = [f for f in forecasts if f.settings is not None and f.puller.slots == math.inf]
    many = [f for f in free if f.demand.pods > limits.slow_disk_pulls]
    if not many:
        return
    worst = max(many, key=lambda f: f.demand.pods)
    demand = worst.demand
    yield Finding(
        code="unbounded",
        severity=Severity.WARNING,
        subject=subject,
        message=f"when {demand.node.name} starts cold, {demand.pods} pods pull at once, "
        f"{worst.how}, onto a disk of {limits.disk_mib_per_second:g} MiB/s: they share it, so that "
        f"each is slower, the first as well; all of them take {time(worst.cold_seconds)} or more",
        observed=float(demand.pods),
        limit=float(limits.slow_disk_pulls),
        remedy=in_parallel(demand.node, min(3, limits.parallel_pulls)),
    )
