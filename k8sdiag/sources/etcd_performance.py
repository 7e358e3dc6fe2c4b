"""How fast each member of etcd is: two looks at its /metrics, some seconds apart."""

import time

from k8sdiag.facts.etcd import EtcdMember, EtcdPerformance, MemberPerformance
from k8sdiag.model import Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.sources import etcd_members
from k8sdiag.sources._etcd_window import Look, between

RANK = 1  # Prometheus has longer windows


def collect(reader: Etcd) -> EtcdPerformance:
    """Raises Unavailable when no member serves /metrics on its client port."""
    before = reader.once(etcd_members.ask)
    asked = [m for m in before.fact.members if not m.defragmenting]
    found: list[MemberPerformance] = []
    gaps: dict[str, str] = {}
    for member in asked:
        try:
            first = before.looks.get(member.endpoint)
            if first is None:
                raise Unavailable("it serves no /metrics on its client port")  # noqa: TRY301
            second = _again(reader, member, first.asked + reader.look_seconds)
            found.append(between(member.name, member.endpoint, first, second))
        except Unavailable as error:
            gaps[f"speed of etcd/{member.name}"] = str(error)
    if not found:
        raise Unavailable("; ".join(gaps.values()) or "every member is being defragmented")
    return EtcdPerformance(
        members=tuple(found),
        gaps=gaps,
        provenance=f"/metrics of the members, twice within {reader.look_seconds:g} s",
    )


def _again(reader: Etcd, member: EtcdMember, at: float) -> Look:
    """One member after the other, as at the first look, so that never two are kept busy."""
    time.sleep(max(0.0, min(at - time.time(), reader.look_seconds)))
    with reader.ask(member.endpoint) as client:
        return etcd_members.look_at(client)
