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


class EtcdSeenByAPIServer(Fact, frozen=True, kw_only=True):
    """The database size of each etcd that an API server uses, by its own /metrics.

    Of one member each, whichever the API server asked for it; quota and free space are not told.
    """

    db_bytes: dict[str, int]  # by "etcd-0", or by endpoint before Kubernetes 1.28
    server: str = ""  # the API server's version, "v1.36.3": managed ones name their provider
