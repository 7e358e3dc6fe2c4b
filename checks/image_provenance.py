"""Nobody can tell which images run.

A tag that moves runs different code on every node that pulled it on another day, and a registry
nobody agreed on is one more that a scale-up waits for. Most of this is information: metrics, and a
verdict only where the configuration says what is wanted.
"""

from collections import Counter
from collections.abc import Iterator

from k8sdiag.checks._image_uses import (
    Uses,
    allowed,
    named_by,
    registry_of,
    some,
    subject_of,
    uses_of,
    workloads_of,
)
from k8sdiag.facts.image_policies import ImagePolicies, Vulnerabilities
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Finding, Limits, Metric, Missing, Remedy, Said, Severity, Unseen

MOST_REGISTRIES = 20  # of the most containers; the others are summed up in one series
_DAY = 86_400


class ImageProvenance(Limits, frozen=True, kw_only=True):
    # The registries that images may come from, as "registry.k8s.io" or "docker.io/library": none
    # given, no verdict.
    allowed_registries: tuple[str, ...] = ()
    # Whether some policy must verify signatures; what a cluster needs, its owner knows.
    require_verification: bool = False
    # Pods that run one image for longer are a finding; 0: no verdict. Their age is told only up to
    # the youngest pod's start.
    stale_days: int = 0


def check(
    pods: Pods | Missing,
    policies: ImagePolicies | Missing,
    vulnerabilities: Vulnerabilities | Missing,
    limits: ImageProvenance,
) -> Iterator[Said]:
    facts = (pods, policies, vulnerabilities)
    absent = [f.reason for f in facts if isinstance(f, Missing) and f.asked]
    yield from (Unseen(subject="the cluster", reason=reason) for reason in dict.fromkeys(absent))
    if isinstance(pods, Pods):
        uses, youngest = uses_of(pods)
        yield from _names(uses)
        yield from _registries(uses, limits)
        yield from _ages(uses, youngest, limits)
    if isinstance(policies, ImagePolicies):
        yield from _verified(policies, limits)
    if isinstance(vulnerabilities, Vulnerabilities) and vulnerabilities.installed:
        yield from _reported(vulnerabilities)


def _names(uses: Uses) -> Iterator[Finding | Metric]:
    kinds = Counter(named_by(image) for image in uses)
    for kind in ("digest", "tag", "latest"):
        yield Metric(
            name="image_references",
            help="Images that pods ask for, by what they are named by.",
            value=float(kinds[kind]),
            labels={"by": kind},
        )
    moving = sorted(image for image in uses if named_by(image) == "latest")
    if moving:
        yield Finding(
            code="moving-tag",
            severity=Severity.WARNING,
            subject=subject_of(uses, moving),
            message=f"{some(moving, 'images')} run by the tag latest or none: which code runs "
            "depends on when a node pulled it, and unless the policy says otherwise each start "
            "of a container asks the registry",
            observed=float(len(moving)),
            remedy=Remedy(
                summary="name a version, or better its digest: it never moves, and IfNotPresent "
                "then pulls it once a node",
                commands=("kubectl set image WORKLOAD CONTAINER=IMAGE@sha256:...",),
            ),
        )


def _registries(uses: Uses, limits: ImageProvenance) -> Iterator[Finding | Metric]:
    containers: Counter[str] = Counter()
    for image, use in uses.items():
        containers[registry_of(image)] += use.containers
    ranked = sorted(containers.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MOST_REGISTRIES:])
    for registry, count in ranked[:MOST_REGISTRIES] + ([("other", rest)] if rest else []):
        yield Metric(
            name="image_registry_containers",
            help="Containers whose image comes from a registry.",
            value=float(count),
            labels={"registry": registry},
        )
    if not limits.allowed_registries:
        return
    strange: dict[str, list[str]] = {}
    for image in sorted(uses):
        if not allowed(image, limits.allowed_registries):
            strange.setdefault(registry_of(image), []).append(image)
    for registry, images in sorted(strange.items()):
        yield Finding(
            code="registry-not-allowed",
            severity=Severity.WARNING,
            subject=f"registry/{registry}",
            message=f"{some(images, 'images')} come from {registry}, which allowed_registries "
            f"does not name; for {some(workloads_of(uses, images), 'workloads')}",
            observed=float(len(images)),
            remedy=Remedy(
                summary="copy them to a registry that is allowed, or allow this one: "
                "allowed_registries of [checks.image-provenance] in k8sdiag.toml",
            ),
        )


def _ages(uses: Uses, youngest: int, limits: ImageProvenance) -> Iterator[Said]:
    ages = {i: youngest - use.oldest for i, use in uses.items() if use.oldest}
    if not ages:
        return
    yield Metric(
        name="image_oldest_pod_seconds",
        help="From the start of the oldest pod that still runs to that of the youngest.",
        value=float(max(ages.values())),
    )
    most = limits.stale_days * _DAY
    stale = sorted(image for image, seconds in ages.items() if most and seconds > most)
    if stale:
        oldest = max(stale, key=lambda image: ages[image])
        yield Finding(
            code="stale",
            severity=Severity.WARNING,
            subject=subject_of(uses, stale),
            message=f"pods have run {some(stale, 'images')} for more than {limits.stale_days} "
            f"days, {oldest} for {ages[oldest] // _DAY}: it has got no mends since",
            observed=float(ages[oldest] // _DAY),
            limit=float(limits.stale_days),
            remedy=Remedy(summary="build and roll out the workloads anew, with mended base images"),
        )


def _verified(policies: ImagePolicies, limits: ImageProvenance) -> Iterator[Finding | Metric]:
    verifying = [p for p in policies.policies if p.verifies]
    counts = Counter(p.of for p in policies.policies)
    for of, count in sorted(counts.items()):
        yield Metric(
            name="image_policies",
            help="Policies that have a say in which images run, by who enforces them.",
            value=float(count),
            labels={"of": of},
        )
    yield Metric(
        name="image_signature_policies",
        help="Policies that verify signatures of images; the API server's own and the nodes' are "
        "not seen.",
        value=float(len(verifying)),
    )
    # A part that could not be read may hold the policy that is missed.
    if limits.require_verification and not verifying and not policies.gaps:
        yield Finding(
            code="nothing-verifies",
            severity=Severity.WARNING,
            subject="cluster",
            message="no policy in the API verifies signatures of images; what the API server is "
            "told to ask (ImagePolicyWebhook, Binary Authorization of GKE) and what nodes check "
            "is not seen from here",
            remedy=Remedy(
                summary="add one, for audit at first: an ImageValidatingPolicy of Kyverno, or a "
                "ClusterImagePolicy of Sigstore",
                commands=("kubectl api-resources | grep -i -E 'imagepolic|imagevalidating'",),
            ),
        )


def _reported(vulnerabilities: Vulnerabilities) -> Iterator[Metric]:
    yield Metric(
        name="image_vulnerability_reports",
        help="Reports of Trivy Operator, one a container of a workload.",
        value=float(vulnerabilities.reports),
    )
    for severity in ("critical", "high", "medium", "low", "unknown"):
        yield Metric(
            name="image_vulnerabilities",
            help="Vulnerabilities in these reports, each counted in every report that has it.",
            value=float(getattr(vulnerabilities, severity)),
            labels={"severity": severity},
        )
