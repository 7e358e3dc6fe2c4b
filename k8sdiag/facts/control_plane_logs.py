"""What the last lines of the control plane's own logs tell of."""

from datetime import datetime

from msgspec import Struct

from k8sdiag.model import Fact


class Match(Struct, frozen=True, kw_only=True):
    """How often a text came and when; the text itself is not kept, it may hold a secret."""

    name: str  # of a text in failuretexts.py
    lines: int
    first: datetime
    last: datetime


class PodLog(Struct, frozen=True, kw_only=True):
    """The end of one container's log. Only what matched is kept, never a line."""

    pod: str
    component: str  # "etcd", "kube-apiserver"
    lines: int
    since: datetime | None = None  # of the oldest line that was read; None: there is none
    matches: tuple[Match, ...] = ()


class ControlPlaneLogs(Fact, frozen=True, kw_only=True):
    """Gaps are pods whose log could not be read, or not to its end."""

    logs: tuple[PodLog, ...]
    read_at: datetime
