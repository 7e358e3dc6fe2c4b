"""What API servers did within a window: how long requests took, and which they refused."""

from msgspec import Struct

from k8sdiag.model import Fact


class Calls(Struct, frozen=True, kw_only=True):
    """Requests of one kind that were answered, watches and other streams apart."""

    resource: str  # "pods", "leases.coordination.k8s.io", "deployments.apps/status"
    verb: str  # "GET", "LIST", "POST", "PUT", "PATCH", "APPLY", "DELETE"
    scope: str  # "resource" (one object), "namespace", "cluster"
    requests: float
    within: tuple[tuple[float, float], ...] = ()  # (seconds, requests that took at most that)

    @property
    def group(self) -> str:
        """The API group: "", "apps", "coordination.k8s.io"."""
        return self.resource.partition("/")[0].partition(".")[2]


class Level(Struct, frozen=True, kw_only=True):
    """One priority level of the API's priority and fairness."""

    name: str
    requests: float  # that were let through
    refused: dict[str, float] = {}  # flow schema -> requests that were answered 429
    reasons: dict[str, float] = {}  # "queue-full", "concurrency-limit", "time-out" -> requests


class ApiTraffic(Fact, frozen=True, kw_only=True):
    """Counters of `servers` API servers; what has not changed in the window is left out."""

    window_seconds: float
    servers: int
    calls: tuple[Calls, ...] = ()
    levels: tuple[Level, ...] = ()
    # False: the times include webhooks and queues, as servers before Kubernetes 1.23 tell them.
    processing_only: bool = True
