"""Image pulls fail.

One mistyped tag is a workload's trouble; a registry that refuses requests, a full disk or a
kubelet that starts no more pulls a second meet every node that starts cold, at once.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from k8sdiag.checks._image_pull_causes import CAUSES, UNKNOWN, Cause
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.facts.pull_failures import PullFailure, PullFailures
from k8sdiag.model import Finding, Limits, Metric, Missing, Severity
from k8sdiag.pulls.imagename import normalize

_Positive = Annotated[int, Meta(gt=0)]
_NO_REGISTRY = ("bad-name", "never-pulled", "not-inspected", "disk-full", "over-qps")


class ImagePullFailures(Limits, frozen=True, kw_only=True):
    # Fewer that have been overcome since, within the hour that events live, are no finding.
    repeats: _Positive = 3
    # A shared cause on so many nodes is no longer one machine's; our judgment.
    critical_nodes: _Positive = 10
    # Or on this part of all nodes, where there are fewer, but never on one alone.
    critical_share: Annotated[float, Meta(gt=0)] = 0.2


def check(
    failures: PullFailures, pods: Pods | Missing, nodes: Nodes | Missing, limits: ImagePullFailures
) -> Iterator[Finding | Metric]:
    askers = _askers(pods, {(f.namespace, f.image) for f in failures.failures})
    groups: dict[tuple[str, str], list[PullFailure]] = {}
    for failure in _with_causes(failures.failures):
        groups.setdefault((failure.cause, _registry(failure)), []).append(failure)
    many = len(nodes.nodes) if isinstance(nodes, Nodes) else 0
    for (code, registry), found in sorted(groups.items()):
        cause = CAUSES.get(code, UNKNOWN)
        again = sum(f.count for f in found) >= limits.repeats
        if again or any(f.waiting for f in found):
            yield _finding(cause, registry, found, askers, many, limits)
    for code in sorted({code for code, _ in groups} | set(CAUSES)):
        rows = [f for (c, _), found in groups.items() if c == code for f in found]
        yield Metric(
            name="image_pull_failures",
            help="Failed image pulls that events still tell of, by cause.",
            value=float(sum(f.count for f in rows)),
            labels={"cause": code or UNKNOWN.code},
        )
    yield Metric(
        name="image_pull_waiting_pods",
        help="Pods that wait for an image whose pull failed.",
        value=float(sum(f.waiting for f in failures.failures)),
    )


def _with_causes(failures: tuple[PullFailure, ...]) -> Iterator[PullFailure]:
    """Pods that back off do not tell why before Kubernetes 1.32; the events of their image do."""
    told: dict[tuple[str, str], PullFailure] = {}
    for failure in failures:
        key = (failure.namespace, failure.image)
        if failure.cause and failure.last_at >= (told[key].last_at if key in told else 0.0):
            told[key] = failure
    for failure in failures:
        known = told.get((failure.namespace, failure.image))
        yield replace(failure, cause=failure.cause or (known.cause if known else ""))


def _registry(failure: PullFailure) -> str:
    if failure.cause in _NO_REGISTRY:
        return ""
    return normalize(failure.image).partition("/")[0]


def _askers(pods: Pods | Missing, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """The workloads of a namespace that ask for an image; events tell only the pod's name."""
    found: dict[tuple[str, str], list[str]] = {}
    if isinstance(pods, Missing):
        return found
    for profile in pods.profiles:
        for container in profile.containers + profile.image_volumes:
            key = (profile.workload.namespace, container.image)
            if key in wanted:
                found.setdefault(key, []).append(profile.workload.subject)
    return found


def _finding(
    cause: Cause,
    registry: str,
    found: list[PullFailure],
    askers: dict[tuple[str, str], list[str]],
    nodes: int,
    limits: ImagePullFailures,
) -> Finding:
    where = sorted({node for f in found for node in f.nodes})
    waiting, count = sum(f.waiting for f in found), sum(f.count for f in found)
    images = sorted({f.image for f in found})
    workloads = {f.workload for f in found if f.workload}
    workloads |= {w for f in found for w in askers.get((f.namespace, f.image), ())}
    named = sorted(workloads)
    subject = named[0] if len(named) == 1 else f"registry/{registry}" if registry else "nodes"
    whose = f" of {_some(named, 'workloads')}" if len(named) > 1 else ""
    spread = min(float(limits.critical_nodes), max(2.0, nodes * limits.critical_share or 1e9))
    critical = cause.shared and len(where) >= spread
    facts = []
    if count:
        times = f"{count} times" if count > 1 else "once"
        facts.append(f"it failed {times} within the hour that events live")
    if waiting:
        facts.append(f"{waiting} pods wait" if waiting > 1 else "1 pod waits")
    if where:
        facts.append(f"on {_some(where, 'nodes')}")
    return Finding(
        code=cause.code,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        subject=subject,
        message=f"{cause.what}: {_some(images, 'images')}{whose}; {', '.join(facts)}",
        observed=float(waiting or count),
        remedy=cause.remedy,
    )


def _some(names: list[str], what: str, most: int = 2) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{len(names)} {what} ({shown}, ...)"
