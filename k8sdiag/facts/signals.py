"""What `k8sdiag watch` sees again and again: the cheapest signals of each failure."""

from msgspec import Struct


class Unseen(Struct, frozen=True):
    reason: str


class Answer(Struct, frozen=True, kw_only=True):
    """To one cheap request."""

    status: int  # of HTTP; 0: none came
    seconds: float = 0.0
    why: str = ""  # why none came, or what a refusal says


class Counters(Struct, frozen=True, kw_only=True):
    """Of one API server's /metrics page; all but the sizes only ever grow."""

    at: float  # of the monotonic clock
    started: float  # when its process did: two pages of different ones have no difference
    storage_bytes: dict[str, float] = {}  # by etcd
    writes: float | None = None  # requests to etcd that write; None: they are not counted
    write_errors: float = 0.0
    etcd_requests: float = 0.0
    etcd_seconds: float = 0.0
    requests: float = 0.0  # answered by the API server
    failed: float = 0.0  # with 5xx
    rejected: float = 0.0  # with 429


class EtcdState(Struct, frozen=True, kw_only=True):
    db_bytes: float
    quota_bytes: float | None = None  # None: not told, or switched off
    alarms: tuple[str, ...] = ()
    has_leader: bool = True


class NodeStates(Struct, frozen=True, kw_only=True):
    seen: int
    not_ready: tuple[str, ...] = ()
    left: int = 0  # that were not read


class PodWarnings(Struct, frozen=True, kw_only=True):
    """Warning events of the last minutes, each counted once for its object."""

    pulls: int = 0
    pull_example: str = ""
    dns: int = 0  # DNSConfigForming
    nospace: int = 0
    more: bool = False  # not all were read


class Fleet(Struct, frozen=True, kw_only=True):
    """What Prometheus tells; None with a reason in `gaps` where it does not."""

    dns_errors: float | None = None  # share of the answers that are SERVFAIL
    dns_p99_seconds: float | None = None
    refusals: float | None = None  # of neighbor tables
    refusing: tuple[str, ...] = ()  # the nodes with most of them
    waiting_pulls: float | None = None
    gaps: dict[str, str] = {}
