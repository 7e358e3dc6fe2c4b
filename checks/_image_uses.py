"""The images that pods ask for, and whose pods they are."""

from msgspec import Struct

from k8sdiag.facts.pods import Pods
from k8sdiag.pulls.imagename import normalize


class Use(Struct):
    """What pods that have not ended ask for under one name."""

    containers: int = 0
    workloads: set[str] = set()
    oldest: int = 0  # when the first of these pods was made; 0: unknown


Uses = dict[str, Use]


def uses_of(pods: Pods) -> tuple[Uses, int]:
    """By the image as pods ask for it; and when the youngest pod was made."""
    found: Uses = {}
    created = pods.created()
    first: dict[int, int] = {}
    for number, at in zip(pods.columns()[0], created, strict=True):
        if at:
            first[number] = min(at, first.get(number, at))
    for number, count in pods.counts().items():
        profile = pods.profiles[number]
        if profile.phase in ("Succeeded", "Failed"):
            continue
        at = first.get(number, 0)
        for container in profile.containers + profile.image_volumes:
            use = found.setdefault(container.image, Use())
            use.containers += count
            use.workloads.add(profile.workload.subject)
            use.oldest = min(at, use.oldest) if at and use.oldest else at or use.oldest
    return found, max(created, default=0)


def named_by(image: str) -> str:
    name = normalize(image)
    if "@" in name:
        return "digest"
    return "latest" if name.endswith(":latest") else "tag"


def registry_of(image: str) -> str:
    return normalize(image).partition("/")[0]


def allowed(image: str, names: tuple[str, ...]) -> bool:
    """Whether one of them is the whole of the image's first parts."""
    path = normalize(image)
    return any(path.startswith(name.rstrip("/") + "/") for name in names)


def workloads_of(uses: Uses, images: list[str]) -> list[str]:
    return sorted({w for image in images for w in uses[image].workloads})


def subject_of(uses: Uses, images: list[str]) -> str:
    workloads = workloads_of(uses, images)
    return workloads[0] if len(workloads) == 1 else f"{len(workloads)} workloads"


def some(names: list[str], what: str, most: int = 2) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{len(names)} {what} ({shown}, ...)"
