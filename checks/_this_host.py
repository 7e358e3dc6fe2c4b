"""What the checks of this host's limits share."""

from collections.abc import Iterator

from k8sdiag import neighbors
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Severity, Unseen, Usage

WATCH = "run `k8sdiag node` on them, or `k8sdiag serve node` for Prometheus"


def subject_of(host: str, nodes: Nodes | Missing) -> str:
    """A node, unless the cluster is known and has no such one."""
    if isinstance(nodes, Nodes) and not any(neighbors.is_node(host, n.name) for n in nodes.nodes):
        return f"host/{host}"
    return f"node/{host}"


def unseen_nodes(host: str, nodes: Nodes | Missing) -> Iterator[Unseen]:
    """The nodes of the cluster that this host says nothing of."""
    if isinstance(nodes, Missing):
        if nodes.asked:
            yield Unseen(subject="the cluster's nodes", reason=nodes.reason)
        return
    count = len(nodes.nodes)
    if subject_of(host, nodes).startswith("host/"):
        no_node = f"this host, {host}, is none of them and tells nothing of theirs"
        yield Unseen(subject=f"all {count} nodes", reason=f"{no_node}: {WATCH}")
    elif count > 1:
        yield Unseen(subject=f"{count - 1} of {count} nodes", reason=WATCH)


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
