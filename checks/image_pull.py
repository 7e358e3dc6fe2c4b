"""Pulling its images keeps a node that starts out of use for long.

A new or re-imaged node pulls everything at once, one image at a time unless the kubelet is told
otherwise. While nodes were small nobody noticed; with 60 GB of images it takes half an hour.
"""

from collections.abc import Iterator

from k8sdiag.checks._image_pull_limits import ImagePull, basis, time
from k8sdiag.checks._image_pull_node import critical_late, daemons_late, unbounded
from k8sdiag.checks._image_pull_remedy import best, smaller_or_nearer
from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.facts.pulls import ImagePulls, PullTimes
from k8sdiag.facts.runtime import HostRuntime
from k8sdiag.model import Finding, Metric, Missing, Said, Severity, Unseen, Usage
from k8sdiag.pulls.downloads import KnownDownloads
from k8sdiag.pulls.forecast import Forecast, Forecaster, by_pool, options
from k8sdiag.pulls.kubelets import Known, shipped
from k8sdiag.pulls.metric_rates import measured_by_metrics
from k8sdiag.pulls.nodeimages import demands
from k8sdiag.pulls.rates import Measured, measured


def check(
    nodes: Nodes,
    pods: Pods,
    kubelets: KubeletConfigs | Missing,
    host: HostKubelet | Missing,
    runtime: HostRuntime | Missing,
    pulls: ImagePulls | Missing,
    times: PullTimes | Missing,
    limits: ImagePull,
) -> Iterator[Said]:
    known = Known(nodes, kubelets, host)
    downloads = KnownDownloads(nodes, host, runtime)
    own: dict[str, Measured] = {}
    if not isinstance(times, Missing):
        own |= measured_by_metrics(
            times, nodes, downloads.of, limits.rates, enough=limits.enough_pulls
        )
    if not isinstance(pulls, Missing):
        own |= measured(
            pulls.pulls, nodes.nodes, downloads.of, limits.rates, enough=limits.enough_pulls
        )
    forecaster = Forecaster(known, downloads, limits.rates, own)
    pools = by_pool(map(forecaster.forecast, demands(nodes, pods, limits.rates, known.max_images)))
    for pool, forecasts in pools.items():
        yield from _pool(_subject(pool), forecasts, limits)
    yield from _unseen([f for pool in pools.values() for f in pool], limits)


def _subject(pool: str) -> str:
    return f"pool/{pool or 'unnamed'}"


def _pool(subject: str, forecasts: list[Forecast], limits: ImagePull) -> Iterator[Said]:
    worst = max(forecasts, key=lambda f: f.cold_seconds)
    yield Usage(
        limit_id="node-cold-start",
        subject=subject,
        used=round(worst.cold_seconds, 1),
        limit=limits.progress_deadline_seconds,
        unit="seconds",
        driver="pods_per_node",
        source=f"at least, for {worst.what}, {worst.how}; {basis(worst, limits)}; against "
        "progressDeadlineSeconds of a Deployment",
    )
    yield from _metrics(subject, worst, forecasts)
    slow = [f for f in forecasts if f.cold_seconds >= limits.progress_deadline_seconds]
    serialized: list[Forecast] = []
    long: list[Forecast] = []
    for forecast in slow:
        (serialized if _serialized(forecast, limits) else long).append(forecast)
    yield from _slow(subject, "serialized", serialized, limits)
    yield from _slow(subject, "long", long, limits)
    yield from daemons_late(subject, forecasts, limits)
    yield from critical_late(subject, forecasts, limits)
    yield from unbounded(subject, forecasts, limits)


def _metrics(subject: str, worst: Forecast, forecasts: list[Forecast]) -> Iterator[Metric]:
    pool = subject.removeprefix("pool/")
    cases = {
        "warm-restart": worst.warm_seconds,
        "cold-same-pods": worst.cold_seconds,
        "cold-daemonsets": max(f.daemons_seconds for f in forecasts),
        "new-daemonsets": max(f.new_seconds for f in forecasts),
    }
    for case, seconds in cases.items():
        yield Metric(
            name="node_start_seconds",
            help="At least so long pulls a node of the pool when it starts: the one with the "
            "slowest cold start with the disk kept (warm-restart) or empty (cold-same-pods); the "
            "slowest until its DaemonSets run, with all its pods (cold-daemonsets) or as a new "
            "node (new-daemonsets).",
            value=round(seconds, 1),
            labels={"pool": pool, "case": case},
        )
    ends = {
        "serial": max(f.serial_seconds for f in forecasts),
        "parallel": max((f.cold_seconds for f in forecasts if not f.serial), default=None),
    }
    for pulls, longest in ends.items():
        if longest is not None:
            yield Metric(
                name="node_cold_start_seconds",
                help="At least so long pulls the slowest node of a pool when it starts cold, one "
                "image at a time (serial) or, where it may, as many at once as it may (parallel).",
                value=round(longest, 1),
                labels={"pool": pool, "pulls": pulls},
            )


def _serialized(forecast: Forecast, limits: ImagePull) -> bool:
    """Whether it is long because the kubelet pulls one image at a time."""
    if not forecast.serial:
        return False
    found = options(forecast, slots=limits.parallel_pulls, streams=limits.concurrent_downloads)
    return any(o.slots and o.seconds <= limits.gain * forecast.cold_seconds for o in found)


def _slow(subject: str, code: str, slow: list[Forecast], limits: ImagePull) -> Iterator[Finding]:
    if not slow:
        return
    worst = max(slow, key=lambda f: f.cold_seconds)
    found = options(worst, slots=limits.parallel_pulls, streams=limits.concurrent_downloads)
    helps = [o for o in found if o.seconds <= limits.gain * worst.cold_seconds]
    other = ", ".join(f"{o.what}: {time(o.seconds)}" for o in helps)
    more = f"{len(slow) - 1} more of its nodes take too long as well; " if len(slow) > 1 else ""
    critical = worst.cold_seconds >= limits.critical_minutes * 60
    node = worst.demand.node
    yield Finding(
        code=code,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        subject=subject,
        message=f"a cold start pulls {worst.what} {worst.how}: that takes "
        f"{time(worst.cold_seconds)} or more{f' ({other})' if other else ''}, "
        f"{time(worst.daemons_seconds)} until its DaemonSets run; a restart that keeps the disk "
        f"takes {time(worst.warm_seconds)}; {more}{basis(worst, limits)}",
        observed=round(worst.cold_seconds, 1),
        limit=limits.progress_deadline_seconds,
        remedy=best(node, worst.downloads, helps) if helps else smaller_or_nearer(node),
    )


def _unseen(forecasts: list[Forecast], limits: ImagePull) -> Iterator[Unseen]:
    """What the verdict would need to know: nothing where it would be the same either way."""
    late = limits.progress_deadline_seconds
    unknown = [f for f in forecasts if f.settings is None and f.serial_seconds >= late]
    if unknown:
        worst = max(unknown, key=lambda f: f.serial_seconds)
        yield Unseen(
            subject=_worst_pool(worst, unknown),
            reason=f"a cold start pulls {worst.what} in {time(worst.cold_seconds)} or more "
            f"in parallel, in {time(worst.serial_seconds)} or more one at a time, and which is "
            f"unknown{shipped(worst.demand.node)}: {worst.why}",
        )
    quiet = [f for f in forecasts if f.cold_seconds < late]
    unsized = [f for f in quiet if f.cold_seconds >= late * f.demand.coverage]
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
