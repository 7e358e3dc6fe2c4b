"""Kubelets refuse image pulls, pull differently within one pool, or are given a removed flag."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from k8sdiag.checks._image_pull_remedy import in_parallel, same_settings, without_flag
from k8sdiag.facts.kubelet import HostKubelet, Kubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Limits, Metric, Missing, Said, Severity, Unseen, Usage
from k8sdiag.pulls.kubelets import Known
from k8sdiag.pulls.nodeimages import pulling_pods

# What decides a cold start, by its name in KubeletConfiguration.
_FIELDS = {
    "serialize_image_pulls": "serializeImagePulls",
    "max_parallel_image_pulls": "maxParallelImagePulls",
    "registry_pull_qps": "registryPullQPS",
    "registry_burst": "registryBurst",
    "node_status_max_images": "nodeStatusMaxImages",
}


class ImagePullSettings(Limits, frozen=True, kw_only=True):
    # The kubelet's first back-off of an image pull (imageBackOffPeriod in pkg/kubelet).
    backoff_seconds: float = 10.0
    # Pulled at once by the remedy: 2 to 3 on a slow disk, up to 10 on NVMe.
    parallel_pulls: Annotated[int, Meta(gt=0)] = 5
    # What a kubelet without a bound lets start by its defaults (burst 10, 5 a second): nodes of
    # which less is asked need not be known.
    default_starts: int = 60


def check(
    nodes: Nodes | Missing,
    pods: Pods | Missing,
    kubelets: KubeletConfigs | Missing,
    host: HostKubelet | Missing,
    limits: ImagePullSettings,
) -> Iterator[Said]:
    if isinstance(host, HostKubelet):
        yield from _host(host)
        if host.running is None and isinstance(nodes, Missing) and not nodes.asked:
            yield Unseen(subject=f"the kubelet of node/{host.node}", reason=host.unseen)
    if isinstance(kubelets, KubeletConfigs):
        yield from _differ(kubelets.kubelets)
    if isinstance(nodes, Missing) or isinstance(pods, Missing):
        absent = [f.reason for f in (nodes, pods) if isinstance(f, Missing) and f.asked]
        yield from (Unseen(subject="the cluster", reason=why) for why in dict.fromkeys(absent))
        return
    known = Known(nodes, kubelets, host)
    asks = pulling_pods(pods)
    pools: dict[str, list[tuple[Node, int]]] = {}
    for node in nodes.nodes:
        if node.name in asks:
            pools.setdefault(node.pool, []).append((node, asks[node.name]))
    for pool, members in sorted(pools.items()):
        yield from _refused(f"pool/{pool or 'unnamed'}", members, known, limits)
    many = [n for members in pools.values() for n, asks in members if asks > limits.default_starts]
    unknown = [n for n in many if known.of(n)[0] is None]
    if isinstance(kubelets, Missing):
        if kubelets.asked:
            yield Unseen(subject="the kubelets' settings", reason=kubelets.reason)
    elif unknown:
        why = known.of(unknown[0])[1]
        yield Unseen(subject=f"the kubelets of {len(unknown)} nodes", reason=why)


def _refused(
    subject: str, members: list[tuple[Node, int]], known: Known, limits: ImagePullSettings
) -> Iterator[Said]:
    """Pulls past the burst are not queued but refused: "pull QPS exceeded"."""
    bounded = []
    for node, asks in members:
        settings = known.of(node)[0]
        if settings is not None and (allowed := _allowed(settings, limits)):
            bounded.append((asks / allowed, asks, allowed, node, settings))
    if not bounded:
        return
    _, asks, allowed, node, settings = max(bounded, key=lambda b: b[:3])
    yield Usage(
        limit_id="image-pull-starts",
        subject=subject,
        used=float(asks),
        limit=allowed,
        unit="pulls",
        driver="pods_per_node",
        source=f"the pods of {node.name} that pull; registryBurst and {limits.backoff_seconds:g}s "
        f"of registryPullQPS ({settings.sources.get('registry_burst', '')})",
    )
    if asks <= allowed:
        return
    yield Finding(
        code="refused",
        severity=Severity.WARNING,
        subject=subject,
        message=f"when {node.name} starts cold, {asks} pods ask for an image at once; "
        f"registryPullQPS and registryBurst let {allowed:.0f} start in "
        f'{limits.backoff_seconds:g}s and refuse the others ("pull QPS exceeded"), whose back-off '
        "doubles up to 5 minutes",
        observed=float(asks),
        limit=allowed,
        remedy=in_parallel(node, limits.parallel_pulls),
    )


def _allowed(settings: KubeletSettings, limits: ImagePullSettings) -> float:
    """How many pods may ask at once before some back off more than once; 0: any number."""
    if settings.registry_burst is None or not settings.registry_pull_qps:
        return 0.0
    if (settings.slots or 1) <= settings.registry_burst:
        return 0.0  # what waits for a slot is not refused
    return settings.registry_burst + settings.registry_pull_qps * limits.backoff_seconds


def _differ(kubelets: tuple[Kubelet, ...]) -> Iterator[Finding]:
    """Of one pool and version only: what nobody tells, and nodes without a pool, say nothing."""
    alike: dict[tuple[str, str], list[Kubelet]] = {}
    for kubelet in kubelets:
        if kubelet.pool:
            alike.setdefault((kubelet.pool, kubelet.version), []).append(kubelet)
    for (pool, version), members in sorted(alike.items()):
        apart = [w for name, key in _FIELDS.items() if (w := _apart(name, key, members))]
        if apart:
            yield Finding(
                code="differ",
                severity=Severity.WARNING,
                subject=f"pool/{pool}",
                message=f"{len(members)} kubelets {version} of the pool were asked and pull images "
                f"differently: {'; '.join(apart)}: which node a pod lands on decides how "
                "long it takes to start",
                remedy=same_settings(members[0].node, members[-1].node),
            )


def _apart(name: str, key: str, members: list[Kubelet]) -> str:
    """ "registryPullQPS is 5 on n1, 20 on n2"; "" if all that is known is equal."""
    who: dict[object, str] = {}
    for kubelet in members:
        value = getattr(kubelet.settings, name)
        if value is not None:
            who.setdefault(value, kubelet.node)
    told = ", ".join(f"{str(value).lower()} on {node}" for value, node in who.items())
    return f"{key} is {told}" if len(who) > 1 else ""


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
