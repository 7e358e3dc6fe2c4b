"""How long the fleet's image pulls took, by the kubelets' own metrics in Prometheus.

The kubelet counts each pull that succeeded by the size of its image (from 1.30 on). The counters
are asked as they are, since each kubelet started: growth over days would be too dear to ask of a
Prometheus that holds thousands of kubelets.
"""

import re

from k8sdiag.facts.pulls import PullTimes, SizeClass
from k8sdiag.histogram import UNBOUNDED, upper_bound
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus

PULLS = "kubelet_image_pull_duration_seconds"  # with the time in the kubelet's queue
CALLS = 'kubelet_runtime_operations_duration_seconds_sum{operation_type="pull_image"}'  # without
SIZE = "image_size_in_bytes"
SILENT = "N/A|0-10MB|10MB-100MB"  # an unknown size, and small ones, tell nothing of rates
# The bounds of the labels, as GetImageSizeBucket of pkg/kubelet/metrics has them.
_UNITS = {"MB": 1 << 20, "GB": 1 << 30}
_BOUND = re.compile(r"(\d+)(MB|GB)")


def collect(reader: Prometheus) -> PullTimes:
    """Raises Unavailable when Prometheus knows no such pulls, or those of several clusters."""
    found: dict[str, dict[float, float]] = {}
    clusters = set()
    large = f'{PULLS}_bucket{{{SIZE}!~"{SILENT}"}}'
    for labels, count in reader.instant(f"sum by (cluster, {SIZE}, le) ({large})"):
        clusters.add(labels.get("cluster", ""))
        buckets = found.setdefault(labels.get(SIZE, ""), {})
        buckets[upper_bound(labels.get("le", "+Inf"))] = count
    if not found:
        raise Unavailable(
            f"{reader.name} knows no {PULLS} of images of 100 MB and more: kubelets have it from "
            "1.30 on, at /metrics"
        )
    if len(clusters) > 1:
        told = ", ".join(sorted(c or "without a name" for c in clusters))
        raise Unavailable(f"{reader.name} holds several clusters ({told}): give the one of this")
    gaps = reader.gaps()
    return PullTimes(
        classes=tuple(
            SizeClass(*bounds, tuple(sorted(buckets.items())))
            for label, buckets in sorted(found.items())
            if (bounds := _bounds(label))
        ),
        pulling_share=_pulling_share(reader),
        gaps=gaps,
        provenance=f"{PULLS} in {reader.name}",
    )


def _bounds(label: str) -> tuple[float, float] | None:
    """Of "100MB-500MB" or "GT100GB", in bytes; None for one that is not known."""
    bounds = [float(int(n) * _UNITS[unit]) for n, unit in _BOUND.findall(label)]
    if label.startswith("GT") and len(bounds) == 1:
        return bounds[0], UNBOUNDED
    return (bounds[0], bounds[1]) if len(bounds) == 2 else None


def _pulling_share(reader: Prometheus) -> float:
    """Which part of all that time the runtime was pulling, and not the pull waiting for a slot."""
    ((_, taken),) = reader.instant(f"sum({PULLS}_sum)") or [({}, 0.0)]
    ((_, pulling),) = reader.instant(f"sum({CALLS})") or [({}, taken)]
    return min(1.0, pulling / taken) if taken else 1.0
