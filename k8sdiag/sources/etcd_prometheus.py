"""Every member of etcd as Prometheus scraped it last: no way to etcd itself is needed."""

from k8sdiag.facts.etcd import EtcdMember, EtcdMembers
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import _etcd_answer
from k8sdiag.sources._etcd_in_prometheus import instances, name_of
from k8sdiag.sources._etcd_metrics import by_page

RANK = 2  # up to a scrape interval old


def collect(reader: Prometheus) -> EtcdMembers:
    """Raises Unavailable when Prometheus scrapes no etcd, or several clusters' etcds."""
    members: list[EtcdMember] = []
    gaps: dict[str, str] = {}
    for (job, instance), series in instances(reader, _QUERY).items():
        try:
            page = _etcd_answer.of_samples(series)
        except Unavailable as error:
            gaps[f"etcd/{instance}"] = str(error)
            continue
        found, unseen = by_page(instance, name_of(series, instance), page, cluster_id=job)
        members.append(found)
        gaps |= unseen
    gaps |= reader.gaps()
    if not members:
        raise Unavailable(f"{reader.name} scrapes no etcd")
    return EtcdMembers(
        members=tuple(sorted(members, key=lambda m: (m.cluster_id, m.name))),
        gaps=gaps,
        provenance=reader.name,
    )


_QUERY = f'{{__name__=~"{"|".join(_etcd_answer.NAMES)}"}}'
