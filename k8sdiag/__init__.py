"""k8sdiag: which limit of a Kubernetes cluster breaks next, how close it is, what to type.

The names that a plugin needs; everything else may move between minor versions.
"""

from k8sdiag.model import (
    Fact,
    Finding,
    Limits,
    Metric,
    Missing,
    Permission,
    Remedy,
    Severity,
    Unavailable,
    Unseen,
    Usage,
)

__all__ = [
    "Fact",
    "Finding",
    "Limits",
    "Metric",
    "Missing",
    "Permission",
    "Remedy",
    "Severity",
    "Unavailable",
    "Unseen",
    "Usage",
]
