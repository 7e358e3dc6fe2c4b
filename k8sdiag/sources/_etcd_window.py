"""What a member did between two looks at its /metrics."""

import email.utils
from typing import NamedTuple

from k8sdiag import histogram
from k8sdiag.facts.etcd import Buckets, MemberPerformance
from k8sdiag.model import Unavailable
from k8sdiag.readers.exposition import samples

FSYNCS = "etcd_disk_wal_fsync_duration_seconds_bucket"
COMMITS = "etcd_disk_backend_commit_duration_seconds_bucket"
LEADER_CHANGES = "etcd_server_leader_changes_seen_total"
HANDLED = "grpc_server_handled_total"


class Look(NamedTuple):
    """One look: the page, when it was asked for, and when it had come (seconds since the epoch)."""

    page: bytes
    asked: float
    came: float
    date: str = ""  # the Date header of the reply


def between(name: str, endpoint: str, first: Look, second: Look) -> MemberPerformance:
    """Raises Unavailable for a page that is none."""
    before, after = _Page(first.page), _Page(second.page)
    changes = after.leader_changes - before.leader_changes
    window = second.asked - first.asked
    return MemberPerformance(
        name=name,
        endpoint=endpoint,
        window_seconds=window,
        fsyncs=histogram.between(before.fsyncs, after.fsyncs),
        commits=histogram.between(before.commits, after.commits),
        leader_changes=changes if changes >= 0 else None,  # below: it was started anew
        leader_seconds=window,
        snapshots=after.snapshots,
        clock_ahead_seconds=clock(second),
    )


class _Page:
    def __init__(self, page: bytes) -> None:
        buckets: dict[str, list[tuple[float, float]]] = {FSYNCS: [], COMMITS: []}
        self.leader_changes, self.snapshots = 0.0, 0
        try:
            for sample in samples(page, FSYNCS, COMMITS, LEADER_CHANGES, HANDLED):
                if sample.name in buckets:
                    le = histogram.upper_bound(sample.labels["le"])
                    buckets[sample.name].append((le, sample.value))
                elif sample.name == LEADER_CHANGES:
                    self.leader_changes = sample.value
                elif _is_backup(sample.labels):
                    self.snapshots = int(sample.value)
        except ValueError as error:
            raise Unavailable(f"/metrics: not a Prometheus page: {error}") from error
        self.fsyncs: Buckets = tuple(buckets[FSYNCS])
        self.commits: Buckets = tuple(buckets[COMMITS])


def _is_backup(labels: dict[str, str]) -> bool:
    return labels.get("grpc_method") == "Snapshot" and labels.get("grpc_code") == "OK"


def clock(look: Look) -> tuple[float, float] | None:
    """How far its clock is ahead of ours, at least and at most.

    Its Date header is in whole seconds, rounded down, of some moment between asking and reply.
    """
    try:
        date = email.utils.parsedate_to_datetime(look.date).timestamp()
    except ValueError:
        return None
    return date - look.came, date + 1 - look.asked
