"""The numbers of the check etcd-health."""

from k8sdiag.model import Limits, Share


class EtcdHealth(Limits, frozen=True, kw_only=True):
    fsync_seconds: float = 0.1  # p99; etcd's docs ask for 0.01, elections fail far above it
    fsync_critical_seconds: float = 0.5  # p99; etcdHighFsyncDurations of etcd's mixin
    commit_seconds: float = 0.25  # p99; etcdHighCommitDurations of etcd's mixin
    slow_at_least: int = 3  # so many slow ones in the window: one alone is a hiccup
    leader_changes: int = 4  # in 15 minutes; etcdHighNumberOfLeaderChanges of etcd's mixin
    clock_seconds: float = 1.0  # off; etcd's peers warn of as much ("clock drift", rafthttp)
    in_use_spread: Share = 0.2  # of the largest; all members store the same
    spread_bytes: int = 104857600  # a smaller difference comes and goes with free pages
    default_quota_nodes: int = 1000  # etcd's hardware guide: 1 GB of data from this size on
    events_apart_nodes: int = 1000  # Kubernetes' "large clusters": events in an etcd of their own
    backup_age_seconds: float = 604800.0  # a week
    backup_required: bool = False  # whether no evidence of a backup counts as something unseen
