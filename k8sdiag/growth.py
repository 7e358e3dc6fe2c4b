"""When a member of etcd is full, from sizes at several times: pure, and with a range.

What is in use decides where it is known: the database only grows when no free page is left, and
a defrag makes it fall while the data goes on growing. The rate over the whole time and over
each half of it must be above zero and alike; together with the rate of the database itself they
span the range. Two looks have no halves.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from k8sdiag.facts.etcd import EtcdMembers, EtcdSeenByAPIServer
from k8sdiag.facts.etcd_history import EtcdHistory, SizeSample
from k8sdiag.model import Snapshot

DAY = 86400.0
STEADY = 0.1  # of the fastest rate, that the slowest has at least
_Point = tuple[float, float]  # seconds, bytes


class Full(Struct, frozen=True, kw_only=True):
    """When the quota is reached, in seconds since the epoch, if it goes on like that."""

    earliest: float
    latest: float
    now: float
    over_seconds: float  # how long it was watched
    per_day: float  # bytes, over all of it


def full(samples: Sequence[SizeSample], quota_bytes: float, least_seconds: float) -> Full | None:
    """None when nothing grows, not all the time, or was watched for less than `least_seconds`."""
    # A member that just starts tells 0 for a moment.
    known = sorted((s for s in samples if s.db_bytes > 0), key=lambda s: s.at)
    if len(known) < 2 or known[-1].at - known[0].at < least_seconds:
        return None
    total = [(s.at, float(s.db_bytes)) for s in known]
    used = [(s.at, float(s.in_use_bytes)) for s in known if s.in_use_bytes is not None]
    deciding = used if len(used) == len(known) else total
    rates = _rates(deciding)
    if not rates:
        return None
    waits = [
        (quota_bytes - line[-1][1]) / rate for line in (deciding, total) for rate in _rates(line)
    ]
    if min(waits) <= 0:
        return None  # it is full already, which others say
    now = known[-1].at
    return Full(
        earliest=now + min(waits),
        latest=now + max(waits),
        now=now,
        over_seconds=now - known[0].at,
        per_day=rates[0] * DAY,
    )


def _rates(points: Sequence[_Point]) -> list[float]:
    """Bytes a second over the whole and over each half; none unless all of them grow steadily.

    One import of much data is no growth, though a half without it gains a page or two.
    """
    middle = (points[0][0] + points[-1][0]) / 2
    edges = [points[0], *sorted(points[1:-1], key=lambda p: abs(p[0] - middle))[:1], points[-1]]
    spans = [(points[0], points[-1]), *(pairwise(edges) if len(edges) > 2 else ())]
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in spans if b[0] > a[0]]
    return rates if min(rates, default=0.0) > STEADY * max(rates, default=0.0) else []


def between(old: Snapshot, new: Snapshot) -> EtcdHistory | None:
    """The sizes that both snapshots hold, of the same members; None if there are none."""
    then, now = _sizes(old), _sizes(new)
    same: dict[str, tuple[SizeSample, ...]] = {
        name: (then[name][1], now[name][1])
        for name in sorted(then.keys() & now.keys())
        if then[name][0] == now[name][0]
    }
    return EtcdHistory(sizes=same, provenance="two snapshots") if same else None


def _sizes(snapshot: Snapshot) -> dict[str, tuple[str, SizeSample]]:
    """By the name that reports use: whose it is, and the size."""
    at = snapshot.taken_at.timestamp()
    members = snapshot.facts.get(EtcdMembers.__name__)
    if isinstance(members, EtcdMembers):
        return {
            f"etcd/{m.name}": (
                m.id,  # a member that was replaced begins anew
                SizeSample(at=at, db_bytes=m.db_bytes, in_use_bytes=m.in_use_bytes),
            )
            for m in members.members
        }
    seen = snapshot.facts.get(EtcdSeenByAPIServer.__name__)
    told = seen.db_bytes if isinstance(seen, EtcdSeenByAPIServer) else {}
    return {f"etcd/{n}": ("", SizeSample(at=at, db_bytes=size)) for n, size in told.items()}
