"""Nodes that start together ask a registry for more than it gives."""

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from k8sdiag.checks._registry_together import docker_hub, herd, pool_subject
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods, Profile
from k8sdiag.model import Finding, Limits, Remedy, Said, Severity, Usage
from k8sdiag.pulls.imagename import normalize, registry

_HUB = "docker.io"
_ENDED = ("Succeeded", "Failed")
# What registries document; requests a minute of one account, project or registry.
_DOCUMENTED = (
    (re.compile(r"\.dkr\.ecr\."), 120_000.0),  # ECR: BatchGetImage 2,000 a second
    (re.compile(r"(^|\.)gcr\.io$|\.pkg\.dev$"), 60_000.0),  # Artifact Registry
    (re.compile(r"\.azurecr\.io$"), 3_000.0),  # ACR Standard; Basic 1,000, Premium 10,000
)
_ALWAYS = (
    "kubectl get pods -A -o jsonpath='{range .items[*].spec.containers"
    """[?(@.imagePullPolicy=="Always")]}{.image}{"\\n"}{end}'"""
    " | sort | uniq -c | sort -rn | head"
)


class RegistryLimits(Limits, frozen=True, kw_only=True):
    # Docker Hub's limit for who does not log in: by IPv4 address or IPv6 /64, in six hours.
    hub_pulls: float = 100.0
    # What your registry bears; 0: not known, unless it is one that documents it (see the page).
    requests_per_minute: float = 0.0
    # Of a registry whose limit is not known: what the Standard tier of Azure's bears (ReadOps).
    storm_requests: float = 3000.0
    # Of a container that is always pulled and is there: a token and a manifest.
    requests_per_pull: float = 2.0
    # What your registry can send; 0: not known, and then nothing is said of it.
    registry_gbit_per_second: float = 0.0
    # progressDeadlineSeconds of a Deployment unless set: past it a rollout counts as failed.
    progress_deadline_seconds: Annotated[float, Meta(gt=0)] = 600.0


class _Asks(Struct, frozen=True):
    """What one pod of a profile asks of registries when it starts."""

    anonymous_hub: frozenset[str]  # images of Docker Hub that it pulls without a secret
    always: tuple[str, ...]  # the registry of each container that is always pulled


def check(nodes: Nodes, pods: Pods, limits: RegistryLimits) -> Iterator[Said]:
    pool_of = {node.name: node.pool for node in nodes.nodes}
    asks = [_asks(profile) for profile in pods.profiles]
    hub: dict[str, set[str]] = {}  # node -> images
    always: dict[tuple[str, str], int] = {}  # (registry, pool) -> containers
    for profile, number in zip(*pods.columns(), strict=True):
        node, asked = pods.nodes[number], asks[profile]
        if node not in pool_of:
            continue
        if asked.anonymous_hub:
            hub.setdefault(node, set()).update(asked.anonymous_hub)
        for host in asked.always:
            key = (host, pool_of[node])
            always[key] = always.get(key, 0) + 1
    yield from docker_hub(hub, pool_of, limits.hub_pulls)
    yield from _always(always, limits)
    if limits.registry_gbit_per_second > 0:
        yield from herd(
            nodes,
            pods,
            gbit_per_second=limits.registry_gbit_per_second,
            late_seconds=limits.progress_deadline_seconds,
        )


def _asks(profile: Profile) -> _Asks:
    if profile.phase in _ENDED:
        return _Asks(frozenset(), ())
    asked = [
        (normalize(c.image), c.pull_policy)
        for c in (*profile.containers, *profile.image_volumes)
        if c.image and c.pull_policy != "Never"
    ]
    hub = {name for name, _ in asked if registry(name) == _HUB}
    return _Asks(
        frozenset() if profile.pull_secrets else frozenset(hub),
        tuple(registry(name) for name, policy in asked if policy == "Always"),
    )


def _always(always: dict[tuple[str, str], int], limits: RegistryLimits) -> Iterator[Said]:
    """Of each registry the pool that asks most of it, when its nodes restart together."""
    largest: dict[str, tuple[int, str]] = {}
    for (host, pool), count in sorted(always.items()):
        largest[host] = max(largest.get(host, (0, "")), (count, pool))
    for host, (count, pool) in largest.items():
        if host == _HUB:
            continue  # what asks whether a manifest has changed does not count there
        requests = count * limits.requests_per_pull
        documented = next((most for known, most in _DOCUMENTED if known.search(host)), 0.0)
        known = limits.requests_per_minute or documented
        if known:
            yield Usage(
                limit_id="registry-requests",
                subject=f"registry/{host}",
                used=requests,
                limit=known,
                unit="requests",
                driver="pods",
                source=f"{count} containers of {pool_subject(pool)} with imagePullPolicy: Always, "
                "when its nodes restart within a minute; against requests a minute",
            )
        limit = known or limits.storm_requests
        if requests > limit:
            yield Finding(
                code="always",
                severity=Severity.WARNING,
                subject=f"registry/{host}",
                message=f"when the nodes of {pool_subject(pool)} restart together, {count:,} "
                f"containers with imagePullPolicy: Always ask the registry {requests:,.0f} times "
                f"though their images are there, and none of them starts without an answer; "
                + (
                    f"it bears {limit:,.0f}"
                    if known
                    else f"what it bears is not known, others {limit:,.0f}"
                )
                + " requests a minute",
                observed=requests,
                limit=limit,
                remedy=Remedy(
                    summary="name images by version or digest and set imagePullPolicy: "
                    "IfNotPresent; kubelets from 1.33 on can check credentials without it "
                    "(imagePullCredentialsVerificationPolicy)",
                    commands=(_ALWAYS,),
                ),
            )
