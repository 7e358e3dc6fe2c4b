"""How fast each member of etcd was within the last minutes, by Prometheus."""

from k8sdiag import histogram
from k8sdiag.facts.etcd import Buckets, EtcdPerformance, MemberPerformance
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources._etcd_in_prometheus import Series, instances, name_of
from k8sdiag.sources._etcd_window import COMMITS, FSYNCS, LEADER_CHANGES

WINDOW_SECONDS = 300
LEADER_SECONDS = 900  # as etcd's own alert on leader changes


def collect(reader: Prometheus) -> EtcdPerformance:
    """Raises Unavailable when Prometheus scrapes no etcd, or several clusters' etcds."""
    fsyncs = instances(reader, f"increase({FSYNCS}[{WINDOW_SECONDS}s])")
    commits = instances(reader, f"increase({COMMITS}[{WINDOW_SECONDS}s])")
    changes = _if_any(reader, f"increase({LEADER_CHANGES}[{LEADER_SECONDS}s])")
    return EtcdPerformance(
        members=tuple(
            MemberPerformance(
                name=name_of(series, place[1]),
                endpoint=place[1],
                window_seconds=WINDOW_SECONDS,
                fsyncs=_buckets(series),
                commits=_buckets(commits.get(place, [])),
                leader_changes=next((s.value for s in changes.get(place, [])), None),
                leader_seconds=LEADER_SECONDS,
            )
            for place, series in sorted(fsyncs.items())
        ),
        gaps=reader.gaps(),
        provenance=reader.name,
    )


def _if_any(reader: Prometheus, promql: str) -> dict[tuple[str, str], list[Series]]:
    try:
        return instances(reader, promql)
    except Unavailable:
        return {}


def _buckets(series: list[Series]) -> Buckets:
    told = ((s.labels["le"], s.value) for s in series if "le" in s.labels)
    return tuple(sorted((histogram.upper_bound(le), count) for le, count in told))
