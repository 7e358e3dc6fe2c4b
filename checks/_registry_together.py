"""Verdicts of registry-limits on the nodes of a pool that are replaced together."""

from collections.abc import Iterable, Iterator

from k8sdiag.coldstart import Rates
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Remedy, Said, Severity, Usage
from k8sdiag.pulls.kubelets import DEFAULT_MAX_IMAGES
from k8sdiag.pulls.nodeimages import demands

_LOGIN = (
    "kubectl create secret docker-registry hub --docker-username=NAME --docker-password=TOKEN"
    "  # in each namespace"
)
_ACCOUNT = """kubectl patch serviceaccount default -p '{"imagePullSecrets": [{"name": "hub"}]}'"""


def pool_subject(pool: str) -> str:
    return f"pool/{pool or 'unnamed'}"


def docker_hub(hub: dict[str, set[str]], pool_of: dict[str, str], allowed: float) -> Iterator[Said]:
    """The largest pool counts: its nodes are replaced together when it is upgraded."""
    pools: dict[str, list[str]] = {}
    for node in hub:
        pools.setdefault(pool_of[node], []).append(node)
    totals = {pool: sum(len(hub[n]) for n in members) for pool, members in pools.items()}
    if not totals:
        return
    pool = max(sorted(totals), key=lambda p: totals[p])
    members = pools[pool]
    yield Usage(
        limit_id="docker-hub-pulls",
        subject=pool_subject(pool),
        used=float(totals[pool]),
        limit=allowed,
        unit="pulls",
        driver="nodes",
        source=f"images of docker.io that pods of the pool's {len(members)} nodes pull without a "
        "secret, when all nodes are replaced; against Docker Hub's limit for anonymous pulls in "
        "6 hours from one address",
    )
    if totals[pool] <= allowed:
        return
    names = sorted({name for node in members for name in hub[node]})
    yield Finding(
        code="docker-hub",
        severity=Severity.WARNING,
        subject=pool_subject(pool),
        message=f"if the pool's {len(members)} nodes are replaced, they pull {totals[pool]} images "
        f"from Docker Hub ({_some(names)}) by pods that name no secret; behind one address it "
        f"gives {allowed:g} in 6 hours to who does not log in, then it answers "
        '"toomanyrequests", unless a mirror or credentials of the nodes answer for docker.io',
        observed=float(totals[pool]),
        limit=allowed,
        remedy=Remedy(
            summary="copy these images into your own registry or a pull-through cache, or log in: "
            "a secret in the service accounts is enough",
            commands=(_LOGIN, _ACCOUNT),
        ),
    )


def herd(
    nodes: Nodes, pods: Pods, *, gbit_per_second: float, late_seconds: float
) -> Iterator[Said]:
    """All nodes of a pool pull everything through the registry's one way out."""
    pools: dict[str, list[float]] = {}
    for demand in demands(nodes, pods, Rates(), lambda _: DEFAULT_MAX_IMAGES):
        pools.setdefault(demand.node.pool, []).append(demand.compressed_bytes)
    if not pools:
        return
    pool = max(sorted(pools), key=lambda p: sum(pools[p]))
    total = sum(pools[pool])
    seconds = total / (gbit_per_second * 1e9 / 8)
    yield Usage(
        limit_id="registry-herd",
        subject=pool_subject(pool),
        used=round(seconds, 1),
        limit=late_seconds,
        unit="seconds",
        driver="nodes",
        source=f"{total / 1e9:.3g} GB for {len(pools[pool])} nodes at once, at "
        f"{gbit_per_second:g} Gbit/s of the registry; against "
        "progressDeadlineSeconds of a Deployment",
    )
    if seconds >= late_seconds:
        yield Finding(
            code="herd",
            severity=Severity.WARNING,
            subject=pool_subject(pool),
            message=f"{len(pools[pool])} nodes that start cold together pull {total / 1e9:.3g} GB: "
            f"at {gbit_per_second:g} Gbit/s the registry alone takes "
            f"{seconds / 60:.0f} minutes, however fast the nodes are",
            observed=round(seconds, 1),
            limit=late_seconds,
            remedy=Remedy(
                summary="replace fewer nodes at once (maxSurge and maxUnavailable of the pool's "
                f"upgrade: {max(1, int(len(pools[pool]) * late_seconds / seconds))} fit into "
                f"{late_seconds:.0f}s), or let nodes give each other what they have (a mirror "
                "among peers such as Spegel or Dragonfly)",
            ),
        )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
