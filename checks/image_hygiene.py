"""A tag runs as several different images, or an image is far larger than its peers."""

import shlex
from collections.abc import Iterator

from msgspec import Struct

from k8sdiag.coldstart import Rates
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods, Served
from k8sdiag.model import Finding, Limits, Missing, Remedy, Said, Severity, Unseen
from k8sdiag.pulls.imagename import normalize
from k8sdiag.pulls.imagesizes import Catalogue

_ENDED = ("Succeeded", "Failed")
_RUNNING = (
    "kubectl get pods -A -o jsonpath='{range .items[*].status.containerStatuses[*]}"
    """{.image}{" "}{.imageID}{"\\n"}{end}'"""
)
NAMED = 3  # images that a message names


class ImageHygiene(Limits, frozen=True, kw_only=True):
    # An outlier is so many times the size that nine of ten images of its pool stay below ...
    times: float = 5.0
    # ... among so many images at least, ...
    peers: int = 10
    # ... and has so many bytes as it is downloaded: below, nobody waits for it.
    large_bytes: float = 2e9


def check(nodes: Nodes | Missing, pods: Pods, limits: ImageHygiene) -> Iterator[Said]:
    if len(pods) and not pods.created_column:
        yield Unseen(subject="what containers run", reason="the snapshot is of an earlier version")
    yield from _moved(pods.served, nodes)
    if isinstance(nodes, Missing):
        if nodes.asked:
            yield Unseen(subject="the sizes of images", reason=nodes.reason)
        return
    yield from _outliers(nodes, pods, limits)


class _Moved(Struct, frozen=True, order=True):
    containers: int
    image: str
    digests: int


def _moved(served: tuple[Served, ...], nodes: Nodes | Missing) -> Iterator[Said]:
    """Digests of the registry and the runtime's own ids name the same image differently."""
    alike: dict[tuple[str, bool], list[Served]] = {}
    for each in served:
        if "@" not in each.image:
            alike.setdefault((normalize(each.image), each.repository), []).append(each)
    moved = [
        _Moved(sum(s.containers for s in several), image, len({s.digest for s in several}))
        for (image, _), several in alike.items()
        if len({s.digest for s in several}) > 1
    ]
    if not moved:
        return
    if not isinstance(nodes, Missing) and _architectures_look_like_that(nodes):
        yield Unseen(
            subject=f"{len(moved)} tags with several digests",
            reason="CRI-O reports a digest for each architecture, and the cluster has several",
        )
        return
    worst = sorted(moved, reverse=True)
    named = ", ".join(
        f"{m.image} ({m.containers} containers, {m.digests} images)" for m in worst[:NAMED]
    )
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    one = len(moved) == 1
    yield Finding(
        code="moved-tag",
        severity=Severity.WARNING,
        subject="cluster",
        message=f"{len(moved)} tag{' runs' if one else 's run'} as different images at the same "
        f"time: {named}{more}; what a pod runs depends on when its node pulled",
        observed=float(len(moved)),
        remedy=Remedy(
            summary="name the image by its digest, or never push to a tag that is in use (make "
            "the registry's tags immutable); then restart the workload so that all run one",
            commands=(
                f"{_RUNNING} | grep -F -- {shlex.quote(_short(worst[0].image))} | sort | uniq -c",
            ),
        ),
    )


def _architectures_look_like_that(nodes: Nodes) -> bool:
    crio = any(node.runtime.startswith("cri-o") for node in nodes.nodes)
    return crio and len({node.arch for node in nodes.nodes}) > 1


def _short(image: str) -> str:
    return image.rpartition("/")[2]


def _outliers(nodes: Nodes, pods: Pods, limits: ImageHygiene) -> Iterator[Finding]:
    """Peers are the images of one pool: a pool for models has large ones, and that is no news."""
    pool_of = {node.name: node.pool for node in nodes.nodes}
    profiles_of: dict[str, set[int]] = {}  # pool -> numbers of profiles
    for number, node in zip(*pods.columns(), strict=True):
        if pods.nodes[node] in pool_of:
            profiles_of.setdefault(pool_of[pods.nodes[node]], set()).add(number)
    catalogue = Catalogue(nodes, Rates())
    for pool, profiles in sorted(profiles_of.items()):
        sizes: dict[str, float] = {}
        workload: dict[str, str] = {}
        for number in sorted(profiles):
            profile = pods.profiles[number]
            for container in (*profile.containers, *profile.image_volumes):
                name = normalize(container.image)
                if profile.phase not in _ENDED and (image := catalogue.find(name)):
                    sizes[name] = image.compressed_bytes
                    workload.setdefault(name, profile.workload.subject)
        if len(sizes) < limits.peers:
            continue
        usual = sorted(sizes.values())[len(sizes) * 9 // 10 - 1]
        least = max(limits.large_bytes, limits.times * usual)
        large = sorted((n for n in sizes if sizes[n] >= least), key=lambda n: (-sizes[n], n))
        if not large:
            continue
        named = ", ".join(
            f"{name} of {workload[name]} ({sizes[name] / 1e9:.3g} GB)" for name in large[:NAMED]
        )
        more = f" and {len(large) - NAMED} more" if len(large) > NAMED else ""
        yield Finding(
            code="outlier",
            severity=Severity.WARNING,
            subject=f"pool/{pool or 'unnamed'}",
            message=f"nine of ten images of the pool have {usual / 1e9:.2g} GB or less as they are "
            f"downloaded, but not {named}{more}: on a node that starts, the others wait for it",
            observed=sizes[large[0]],
            limit=least,
            remedy=Remedy(
                summary="build it in stages and leave out what only the build needs; keep models "
                "and data out of images; or bake it into the node image",
                commands=(f"docker history --no-trunc {shlex.quote(large[0])}  # whose bytes",),
            ),
        )
