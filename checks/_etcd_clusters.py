"""Which members make up one etcd."""

from collections.abc import Iterable

from k8sdiag.facts.etcd import EtcdMember


def clusters(members: Iterable[EtcdMember]) -> list[list[EtcdMember]]:
    """The members of each etcd: the events of a large cluster may have one of their own."""
    groups: dict[str, list[EtcdMember]] = {}
    for member in members:
        groups.setdefault(member.cluster_id, []).append(member)
    # A member that keeps Status to itself is taken for one of the only cluster there is.
    if len(groups) == 2 and "" in groups:
        return [[m for group in groups.values() for m in group]]
    return list(groups.values())
