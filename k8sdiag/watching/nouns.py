"""What a look holds, what is said of it, and from where on it is trouble."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from k8sdiag.facts.signals import (
    Answer,
    Counters,
    EtcdState,
    Fleet,
    NodeStates,
    PodWarnings,
    Unseen,
)

CAUSES = ("etcd", "api-server", "nodes", "neighbor-table", "dns", "image-pull")


class Level(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"


LEVELS = tuple(Level)


class WatchLimits(Struct, frozen=True, kw_only=True):
    """From where on a signal is trouble."""

    slow_seconds: float = 1.0  # the API's own objective for 99 % of single-object calls
    etcd_seconds: float = 0.1  # mean of a request; etcd's heartbeat interval is as long
    quota_warning: float = 0.8  # of the quota, as etcd-quota has it for what is nearly full
    failing: float = 0.05  # of all requests; what clients retry away stays below
    fewest: float = 5.0  # requests in a window, below which a share says nothing
    nodes_critical: float = 0.1  # of all nodes; the node controller slows down from 55 % on
    dns_failing: float = 0.01  # of all answers SERVFAIL; the alerts of CoreDNS' mixin: 1 and 3 %
    dns_failing_critical: float = 0.03
    dns_seconds: float = 0.5  # p99; a resolver's first timeout is 5 s, and a lookup asks often
    pulls_critical: int = 20  # pods: no longer one wrong tag


class Look(Struct, frozen=True, kw_only=True):
    """What all eyes saw last; what is None was not asked for."""

    at: datetime
    probe: Answer
    lists: dict[str, Answer] = {}  # the last answer to each larger read
    counters: tuple[Counters | None, Counters] | Unseen  # of the look before, and of this
    nodes: NodeStates | Unseen
    warnings: PodWarnings | Unseen
    etcd: dict[str, EtcdState | Unseen] | None = None  # by endpoint
    fleet: Fleet | Unseen | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    subject: str  # one of CAUSES
    kind: str  # a slug; a change of it is a line of the timeline
    level: Level
    message: str
    whole: bool = True  # nothing of the subject was unseen
    value: float | None = None  # what is compared with the start
    unit: str = ""
