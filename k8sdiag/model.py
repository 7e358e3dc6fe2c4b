"""The nouns: facts, what checks say of them, and the report.

Everything else in the package is a function from some of these to others.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from msgspec import Meta, Struct


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Order of badness; larger is worse."""
        return (Severity.WARNING, Severity.CRITICAL).index(self)


class Status(StrEnum):
    OK = "ok"  # all of it was seen and nothing is wrong
    FINDINGS = "findings"
    PARTIAL = "partial"  # nothing wrong in what was seen, but not all of it was
    SKIPPED = "skipped"  # a fact it needs could not be had
    ERROR = "error"  # a bug of ours, or a plugin that does not load


class Unavailable(Exception):  # noqa: N818 - it is an answer, not a fault of ours
    """A source could not see its fact. The message is for the user: what, why, and the mend."""


class NotAsked(Unavailable):
    """It looks only where the user wants it to. The message says how; its absence says nothing."""


class ConfigError(Exception):
    """What the user gave can't be used; the message says what, where and what to do. Exit 2."""


class Permission(Struct, frozen=True):
    """What one request to the API server needs; `k8sdiag rbac` adds these up."""

    resource: str  # "pods", "nodes/proxy"; or, beginning with "/", a non-resource URL
    verb: str = "list"
    group: str = ""
    names: tuple[str, ...] = ()
    namespace: str = ""  # a Role of this namespace is enough

    def __str__(self) -> str:
        full = self.resource + (f".{self.group}" if self.group else "")
        return f'"{self.verb}" on "{full}"' + (f" in {self.namespace}" if self.namespace else "")


class Fact(Struct, frozen=True, kw_only=True):
    """Plain data with units in the field names: no I/O, no opinion."""

    gaps: dict[str, str] = {}  # what could not be seen, and why: {"node-7": "timed out after 5s"}
    provenance: str = ""  # where it came from, in words

    def scale(self) -> dict[str, float]:
        """What a usage can grow with, as this fact counts it: {"nodes": 1000.0}."""
        return {}


class Missing(Struct, frozen=True):
    """Stands for an optional fact (annotated `SomeFact | Missing`) that could not be had."""

    reason: str
    asked: bool = True  # False: this command does not look for it, so its absence says nothing


# The type of a limit that is a part of something: 0.8, and never 80.
Share = Annotated[float, Meta(ge=0, le=1)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of one check; k8sdiag.toml sets them under [checks.<id>]."""


class Remedy(Struct, frozen=True, kw_only=True):
    summary: str
    commands: tuple[str, ...] = ()  # what to type, in this order
    manifest: str = ""  # a file or a patch, ready to apply


class Finding(Struct, frozen=True, kw_only=True, tag="finding"):
    """One thing that an operator can act on: a workload, a node pool, a member; never one pod."""

    code: str  # a slug in words; the engine puts the check's id before it: "etcd-quota/nospace"
    severity: Severity
    subject: str  # "etcd/etcd-0", "node/ip-10-0-0-7", "deployment/shop/web"
    message: str  # one sentence with the numbers in it
    observed: float | None = None
    limit: float | None = None
    remedy: Remedy | None = None
    docs: str = ""  # filled in by the engine: the check's page


class Usage(Struct, frozen=True, kw_only=True, tag="usage"):
    """How much of a limit is used and what drives it, and therefore where it breaks."""

    limit_id: str  # "etcd-db-size", "neighbor-ipv4", "coredns-qps", "pods"
    subject: str
    used: float
    limit: float
    unit: str  # "bytes", "entries", "queries/s", "objects", "seconds"
    driver: str  # what makes it grow: "nodes", "pods", "pods_per_node", "services", "time"
    fixed: float = 0.0  # the part that does not grow with the driver
    source: str = ""  # where both numbers came from, in words a person can check

    @property
    def ratio(self) -> float:
        return self.used / self.limit if self.limit else float("inf")


class Metric(Struct, frozen=True, kw_only=True, tag="metric"):
    """A number for Prometheus; exporters put `k8sdiag_` before its name."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}
    kind: str = "gauge"  # or "counter", whose name ends in _total


class Unseen(Struct, frozen=True, kw_only=True, tag="unseen"):
    """A part that the check could not judge though the facts were there: no verdict on it."""

    subject: str
    reason: str


Said = Finding | Usage | Metric | Unseen


class Check(Struct, frozen=True, kw_only=True):
    """One module of checks/, as plugins.py read it."""

    id: str
    title: str
    doc: str = ""
    run: Callable[..., Iterator[Said]] | None = (
        None  # None: it does not load, and `broken` says why
    )
    needs: dict[str, type[Fact]] = {}  # parameter name -> fact
    optional: frozenset[str] = frozenset()  # the parameters that take a Missing instead
    limits: Limits | None = None
    broken: str = ""


class Cost(Struct, frozen=True, kw_only=True):
    """What looking cost the cluster and this machine."""

    api_requests: int = 0
    api_bytes: int = 0
    seconds: float = 0.0
    peak_rss_bytes: int = 0

    def __add__(self, other: Self) -> "Cost":
        return Cost(
            api_requests=self.api_requests + other.api_requests,
            api_bytes=self.api_bytes + other.api_bytes,
            seconds=self.seconds + other.seconds,
            peak_rss_bytes=max(self.peak_rss_bytes, other.peak_rss_bytes),
        )


class Snapshot(Struct, frozen=True, kw_only=True):
    """All facts of one look, by the name of their type, and the reasons for missing ones."""

    cluster: str
    taken_at: datetime
    facts: dict[str, Any] = {}  # fact type name -> Fact
    missing: dict[str, Missing] = {}
    seconds: dict[str, float] = {}  # fact type name -> how long its source took
    cost: Cost = Cost()
    lab: str = ""  # not empty: a recording of a lab, and which; shown wherever it is judged

    def scale(self) -> dict[str, float]:
        merged: dict[str, float] = {}
        for name in sorted(self.facts):
            merged |= self.facts[name].scale()
        return merged


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A [[waivers]] table of k8sdiag.toml: findings that somebody decided to live with."""

    check: str = ""  # all findings of this check; or
    code: str = ""  # this one kind: "etcd-quota/near"
    subject: str = "*"  # a pattern as of a shell: "deployment/shop/*"
    reason: str
    expires: date  # from this day on, in UTC, the findings count again

    @property
    def what(self) -> str:
        return self.code or self.check


class Waived(Struct, frozen=True, kw_only=True):
    """A finding that counts for nothing while its waiver holds."""

    finding: Finding
    waiver: Waiver


class Outcome(Struct, frozen=True, kw_only=True):
    """What one check said."""

    check: str
    title: str
    status: Status
    reason: str = ""  # why it is not whole: what was not seen
    duration_seconds: float = 0.0  # gathering its facts; judging takes milliseconds
    findings: tuple[Finding, ...] = ()
    usages: tuple[Usage, ...] = ()
    metrics: tuple[Metric, ...] = ()
    waived: tuple[Waived, ...] = ()  # none of `findings`

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for was judged."""
        return self.status in (Status.OK, Status.FINDINGS) and not self.reason


class Moved(Struct, frozen=True, kw_only=True):
    """A usage that both looks measured and that is another one now."""

    usage: Usage  # as it is now
    before: float
    per_day: float | None  # None: the looks are too near to each other to tell


class Changes(Struct, frozen=True, kw_only=True):
    """What a report says that the report of an earlier look did not, and the other way round."""

    cluster: str  # of the earlier look
    since: datetime
    new: tuple[Finding, ...] = ()
    worse: tuple[Finding, ...] = ()  # as they are now; their severity has risen
    better: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()  # as they were, judged again and not found
    unseen: tuple[Finding, ...] = ()  # as they were; whether they are gone could not be judged
    unjudged: tuple[str, ...] = ()  # checks that could be judged whole then and not now
    moved: tuple[Moved, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    cluster: str
    taken_at: datetime
    version: str
    outcomes: tuple[Outcome, ...]
    scale: dict[str, float] = {}
    cost: Cost = Cost()
    lab: str = ""
    changes: Changes | None = None  # None: nothing was given to compare it with
    expired: tuple[Waiver, ...] = ()  # waivers that hold no more
    unmatched: tuple[Waiver, ...] = ()  # waivers that stand for no finding
