"""How fast each member of etcd is: two looks at its /metrics, some seconds apart."""

import time
from concurrent.futures import ThreadPoolExecutor

from k8sdiag.facts.etcd import EtcdMember, EtcdPerformance, MemberPerformance
from k8sdiag.model import Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.sources import etcd_members
from k8sdiag.sources._etcd_window import Look, between

RANK = 1  # Prometheus has longer windows


def collect(reader: Etcd) -> EtcdPerformance:
    """Raises Unavailable when no member serves /metrics on its client port."""
    asked = [m for m in etcd_members.collect(reader).members if not m.defragmenting]
    found: list[MemberPerformance] = []
    gaps: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        for member, job in [(m, pool.submit(_watch, reader, m)) for m in asked]:
            try:
                found.append(job.result())
            except Unavailable as error:
                gaps[f"speed of etcd/{member.name}"] = str(error)
    if not found:
        raise Unavailable("; ".join(gaps.values()) or "every member is being defragmented")
    return EtcdPerformance(
        members=tuple(found),
        gaps=gaps,
        provenance=f"/metrics of the members, twice within {reader.look_seconds:g} s",
    )


def _watch(reader: Etcd, member: EtcdMember) -> MemberPerformance:
    first = _look(reader, member)
    time.sleep(reader.look_seconds)
    return between(member.name, member.endpoint, first, _look(reader, member))


def _look(reader: Etcd, member: EtcdMember) -> Look:
    with reader.ask(member.endpoint) as client:
        asked = time.time()
        page = client.metrics()
        return Look(page, asked, time.time(), client.date)
