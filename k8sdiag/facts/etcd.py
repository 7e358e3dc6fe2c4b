"""What etcd's members say of themselves, and what the API server says of etcd."""

from msgspec import Struct

from k8sdiag.model import Fact

DEFAULT_QUOTA_BYTES = 2 << 30  # DefaultQuotaBytes in etcd's server/storage/quota.go
NO_QUOTA = -1


class EtcdAlarm(Struct, frozen=True, order=True):
    kind: str  # "NOSPACE", "CORRUPT"
    member_id: str  # whose trouble it is; every member knows it and acts on it


class EtcdMember(Struct, frozen=True, kw_only=True):
    """One member by its own word. Identities are hexadecimal, as etcdctl prints them."""

    id: str
    cluster_id: str = ""  # "": it would not say
    name: str
    endpoint: str  # where it was asked
    version: str = ""  # "3.6.16"
    db_bytes: int  # the size that the quota is held against, free pages included
    in_use_bytes: int
    quota_bytes: int  # NO_QUOTA: switched off
    quota_source: str  # in words: "Status", "/metrics", ...
    quota_assumed: bool = False  # nobody told it
    leading: bool = False
    has_leader: bool = True
    learner: bool = False
    defragmenting: bool = False
    alarms: tuple[EtcdAlarm, ...] | None = None  # None: it would not say
    revision: int = 0
    raft_index: int = 0
    raft_applied_index: int = 0


class EtcdMembers(Fact, frozen=True, kw_only=True):
    """The members of one etcd, or of several (events apart); gaps are those that were not seen."""

    members: tuple[EtcdMember, ...]
    etcdctl_flags: tuple[str, ...] = ()  # paths of the TLS files, as given: ("--cacert=...", ...)


Buckets = tuple[tuple[float, float], ...]  # (upper bound in seconds, how many took at most it)


class MemberPerformance(Struct, frozen=True, kw_only=True):
    """What one member did in a window of time that ended with the look."""

    name: str
    endpoint: str
    window_seconds: float
    fsyncs: Buckets = ()  # of the write-ahead log; () is unknown
    commits: Buckets = ()  # of the backend
    leader_changes: float | None = None  # that it saw, in leader_seconds
    leader_seconds: float = 0.0
    snapshots: int | None = None  # streamed to clients since it started: backups, most likely
    # Its clock is this much ahead of this machine's: between these two. None: not to be seen.
    clock_ahead_seconds: tuple[float, float] | None = None


class EtcdPerformance(Fact, frozen=True, kw_only=True):
    """How fast the members were within a window, not since they started."""

    members: tuple[MemberPerformance, ...]


class EtcdSeenByAPIServer(Fact, frozen=True, kw_only=True):
    """The database size of each etcd that an API server uses, by its own /metrics.

    Of one member each, whichever the API server asked for it; quota and free space are not told.
    """

    db_bytes: dict[str, int]  # by "etcd-0", or by endpoint before Kubernetes 1.28
    server: str = ""  # the API server's version, "v1.36.3"
    provider: str = ""  # "EKS", "GKE", "AKS": whose limit holds; "": not known to be managed


class EtcdPod(Struct, frozen=True, kw_only=True):
    """How one member is started, by the spec of its pod. No other environment is kept."""

    name: str
    namespace: str
    node: str
    version: str = ""  # of its image's tag, "3.6.4"
    quota_bytes: int | None = None  # NO_QUOTA: switched off; None: the spec does not tell
    quota_source: str  # in words: "--quota-backend-bytes", or why the spec does not tell it
    client_urls: tuple[str, ...] = ()  # as it advertises them
    metrics_ports: tuple[int, ...] = ()  # where it serves /metrics without TLS
    etcdctl_flags: tuple[str, ...] = ()  # paths on its node: ("--cacert=...", ...)


class APIServerPod(Struct, frozen=True, kw_only=True):
    name: str
    node: str
    events_apart: bool | None  # whether events go to another etcd; None: a file tells, not a flag


class EtcdPods(Fact, frozen=True, kw_only=True):
    """The pods of a control plane that the cluster itself runs; a managed one shows none."""

    etcds: tuple[EtcdPod, ...]
    api_servers: tuple[APIServerPod, ...] = ()


class EtcdBackup(Struct, frozen=True, kw_only=True):
    """Something in the cluster that backs etcd up, by its own word."""

    subject: str  # "cronjob/kube-system/etcd-backup", "k3s snapshots"
    age_seconds: float | None  # of its last success; None: it never had one


class EtcdBackups(Fact, frozen=True, kw_only=True):
    """What backs etcd up as far as the API tells; most backups are made outside and not seen."""

    backups: tuple[EtcdBackup, ...]
