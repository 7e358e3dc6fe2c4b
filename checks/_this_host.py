"""What the checks of this host's limits share."""

from collections.abc import Iterator

from k8sdiag import neighbors
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Severity, Usage

WATCH = "run `k8sdiag node` on them, or give --prometheus where it scrapes exporters on every node"


def subject_of(host: str, nodes: Nodes | Missing) -> str:
    """A node, unless the cluster is known and has no such one."""
    if isinstance(nodes, Nodes) and not any(neighbors.is_node(host, n.name) for n in nodes.nodes):
        return f"host/{host}"
    return f"node/{host}"


def no_node(host: str) -> str:
    return f"this host, {host}, is none of them and tells nothing of theirs"


def level(
    usage: Usage, *, code: str, message: str, warning: float, critical: float, remedy: Remedy
) -> Iterator[Usage | Finding]:
    """A usage, and the finding that it is too high; a stranger's host is not in the forecast."""
    if usage.subject.startswith("node/"):
        yield usage
    if usage.ratio >= warning:
        yield Finding(
            code=code,
            severity=Severity.CRITICAL if usage.ratio >= critical else Severity.WARNING,
            subject=usage.subject,
            message=message,
            observed=usage.used,
            limit=usage.limit,
            remedy=remedy,
        )
