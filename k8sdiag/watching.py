"""Signals of an incident -> verdicts, worst first, and the timeline of their changes.

Pure: a look holds what was seen and why the rest was not. Of what stands at the same level the
likely cause comes first: where etcd takes no writes, nodes turn NotReady because of it, not the
other way round.
"""

from collections.abc import Iterable, Iterator
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
    value: float | None = None  # what is compared with the start
    unit: str = ""


def verdicts(look: Look, limits: WatchLimits | None = None) -> list[Verdict]:
    """One for each subject that was asked for, worst first."""
    limits = limits or WatchLimits()
    found = [
        _worst(_etcd(look, limits)),
        _worst(_api_server(look, limits)),
        _nodes(look.nodes, limits),
        _pulls(look, limits),
    ]
    if look.fleet is not None:
        found.append(_neighbors(look.fleet))
    if look.fleet is not None or _forming(look.warnings):
        found.append(_worst(_dns(look, limits)))
    return sorted(found, key=_order)


def _order(verdict: Verdict) -> tuple[int, int]:
    return LEVELS.index(verdict.level), CAUSES.index(verdict.subject)


def _worst(found: Iterable[Verdict]) -> Verdict:
    return min(found, key=_order)


def _etcd(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
    for endpoint, state in (look.etcd or {}).items():
        yield _member(endpoint, state, limits)
    if "[-]etcd" in look.probe.why:
        told = f"the API server does not reach it: {look.probe.why}"
        yield _of_etcd("cut-off", Level.CRITICAL, told)
    if isinstance(look.warnings, PodWarnings) and look.warnings.nospace:
        told = f"{look.warnings.nospace} objects' events tell 'database space exceeded': it is full"
        yield _of_etcd("nospace", Level.CRITICAL, told)
    if isinstance(look.counters, Unseen):
        if not look.etcd:
            yield _of_etcd("unseen", Level.UNKNOWN, look.counters.reason)
    elif look.counters[1].writes is not None:
        yield _writes(*look.counters, limits)
    elif not look.etcd:
        told = "this API server does not count failed writes: give --etcd-endpoints"
        yield _of_etcd("unseen", Level.UNKNOWN, told)


def _of_etcd(kind: str, level: Level, message: str, size: float | None = None) -> Verdict:
    unit = "bytes" if size is not None else ""
    return Verdict(subject="etcd", kind=kind, level=level, message=message, value=size, unit=unit)


def _member(endpoint: str, state: EtcdState | Unseen, limits: WatchLimits) -> Verdict:
    """By its own word."""
    if isinstance(state, Unseen):
        return _of_etcd("unseen", Level.UNKNOWN, f"{endpoint}: {state.reason}")
    size = state.db_bytes
    share = size / state.quota_bytes if state.quota_bytes else None
    told = f"{endpoint}: {size / 2**20:,.0f} MiB"
    told += f", {share:.0%} of its quota" if share is not None else ", quota unknown"
    if state.alarms:
        kind = "-".join(state.alarms).lower()
        told = f"alarm {', '.join(state.alarms)}, the API takes no writes; {told}"
        return _of_etcd(kind, Level.CRITICAL, told, size)
    if not state.has_leader:
        return _of_etcd("no-leader", Level.CRITICAL, f"no leader, no writes; {told}", size)
    if share is not None and share >= limits.quota_warning:
        return _of_etcd("near-quota", Level.WARNING, told, size)
    return _of_etcd("ok", Level.OK, f"no alarm; {told}", size)


def _writes(before: Counters | None, now: Counters, limits: WatchLimits) -> Verdict:
    """By what one API server counts. A conflict of two writers is no error there."""
    size = sum(now.storage_bytes.values()) or None
    held = f"{size / 2**20:,.0f} MiB by the API server" if size else "its size is not told"
    if before is None:
        told = f"{held}; {now.write_errors:,.0f} of {now.writes or 0:,.0f} writes failed since the "
        told += "API server started: the next look tells whether they still do"
        if now.write_errors:
            return _of_etcd("refused", Level.WARNING, told, size)
        return _of_etcd("ok", Level.OK, told, size)
    writes = (now.writes or 0) - (before.writes or 0)
    errors = now.write_errors - before.write_errors
    calls = now.etcd_requests - before.etcd_requests
    mean = (now.etcd_seconds - before.etcd_seconds) / calls if calls else 0.0
    if errors and errors >= limits.failing * writes:
        told = f"{errors:,.0f} of {writes:,.0f} writes failed in {now.at - before.at:.0f} s: it is "
        told += (
            f"full (NOSPACE) or has no quorum; {held}; k8sdiag audit --check etcd-quota tells more"
        )
        return _of_etcd("refusing-writes", Level.CRITICAL, told, size)
    if calls >= limits.fewest and mean > limits.etcd_seconds:
        return _of_etcd("slow", Level.WARNING, f"{mean * 1000:.0f} ms a request; {held}", size)
    told = f"{held}; {errors:,.0f} of {writes:,.0f} writes failed, {mean * 1000:.1f} ms a request"
    return _of_etcd("ok", Level.OK, told, size)


def _api_server(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
    def say(kind: str, level: Level, message: str) -> Verdict:
        seconds = look.probe.seconds if look.probe.status else None
        return Verdict(
            subject="api-server",
            kind=kind,
            level=level,
            message=message,
            value=seconds,
            unit="seconds" if seconds is not None else "",
        )

    for what, answer in {"/readyz": look.probe, **look.lists}.items():
        if not answer.status:
            yield say("no-answer", Level.CRITICAL, f"{what}: {answer.why}")
        elif answer.status == 429:
            yield say("too-many-requests", Level.CRITICAL, f"{what}: it answers 429, too busy")
        elif answer.status >= 500:
            told = f"{what}: it answers {answer.status}: {answer.why}"
            yield say("failing", Level.CRITICAL, told)
        elif answer.status == 401:
            yield say("credentials", Level.UNKNOWN, f"{what}: it refuses the credentials (401)")
        elif what == "/readyz" and answer.seconds > limits.slow_seconds:
            yield say("slow", Level.WARNING, f"{what} took {answer.seconds:.1f} s")
        elif what == "/readyz":
            yield say("ok", Level.OK, f"{what} took {answer.seconds * 1000:.0f} ms")
    if isinstance(look.counters, Unseen):
        yield say("unseen", Level.UNKNOWN, f"its rates: {look.counters.reason}")
        return
    before, now = look.counters
    if before is None:
        return
    requests = now.requests - before.requests
    window = f"in {now.at - before.at:.0f} s"
    for kind, bad, what in (
        ("failing", now.failed - before.failed, "were answered with 5xx"),
        ("too-many-requests", now.rejected - before.rejected, "were refused with 429"),
    ):
        if bad >= limits.fewest and bad >= limits.failing * requests:
            told = f"{bad:,.0f} of {requests:,.0f} requests {what} {window}"
            yield say(kind, Level.CRITICAL, told)
        elif bad >= limits.fewest:
            yield say(
                kind, Level.WARNING, f"{bad:,.0f} of {requests:,.0f} requests {what} {window}"
            )


def _nodes(nodes: NodeStates | Unseen, limits: WatchLimits) -> Verdict:
    def say(kind: str, level: Level, message: str, bad: float | None = None) -> Verdict:
        unit = "nodes" if bad is not None else ""
        return Verdict(
            subject="nodes", kind=kind, level=level, message=message, value=bad, unit=unit
        )

    if isinstance(nodes, Unseen):
        return say("unseen", Level.UNKNOWN, nodes.reason)
    bad = len(nodes.not_ready)
    part = f" of the first {nodes.seen:,}; {nodes.left:,} were not read" if nodes.left else ""
    if not bad:
        level = Level.UNKNOWN if nodes.left else Level.OK
        return say("partial" if nodes.left else "ok", level, f"{nodes.seen:,} ready{part}", 0)
    few = ", ".join(nodes.not_ready[:3]) + (", ..." if bad > 3 else "")
    told = f"{bad:,} of {nodes.seen:,} not ready{part}: {few}"
    critical = bad >= 2 and bad >= limits.nodes_critical * nodes.seen
    return say("not-ready", Level.CRITICAL if critical else Level.WARNING, told, bad)


def _pulls(look: Look, limits: WatchLimits) -> Verdict:
    def say(kind: str, level: Level, message: str, pods: float | None = None) -> Verdict:
        unit = "pods" if pods is not None else ""
        return Verdict(
            subject="image-pull", kind=kind, level=level, message=message, value=pods, unit=unit
        )

    counts = []
    events, fleet = look.warnings, look.fleet
    if isinstance(events, PodWarnings):
        counts.append((events.pulls, f"{events.pulls} pods by events of the last 5 minutes"))
    if isinstance(fleet, Fleet) and fleet.waiting_pulls is not None:
        waiting = int(fleet.waiting_pulls)
        counts.append((waiting, f"{waiting} containers wait for an image, by Prometheus"))
    if not counts:
        reason = events.reason if isinstance(events, Unseen) else "nothing tells"
        return say("unseen", Level.UNKNOWN, reason)
    pods, told = max(counts)
    example = f": {events.pull_example}" if isinstance(events, PodWarnings) and events.pulls else ""
    if not pods:
        partly = isinstance(events, PodWarnings) and events.more
        if partly:
            return say(
                "partial", Level.UNKNOWN, "no failed pull in the events read; there are more"
            )
        return say("ok", Level.OK, f"no failed pull ({told})", 0)
    level = Level.CRITICAL if pods >= limits.pulls_critical else Level.WARNING
    return say("failing", level, f"pulls fail: {told}{example}", pods)


def _neighbors(fleet: Fleet | Unseen) -> Verdict:
    refusals = None if isinstance(fleet, Unseen) else fleet.refusals
    level, kind, told = Level.OK, "ok", "no refusal in 3 minutes"
    if isinstance(fleet, Unseen) or refusals is None:
        reason = fleet.reason if isinstance(fleet, Unseen) else fleet.gaps.get("neighbor-table", "")
        level, kind, told = Level.UNKNOWN, "unseen", reason
    elif refusals >= 1:
        nodes = ", ".join(fleet.refusing)
        level, kind = Level.CRITICAL, "refusing"
        told = f"{refusals:,.0f} refusals in 3 minutes: packets to new peers vanish; on {nodes}"
    return Verdict(
        subject="neighbor-table",
        kind=kind,
        level=level,
        message=told,
        value=refusals,
        unit="refusals" if refusals is not None else "",
    )


def _forming(warnings: PodWarnings | Unseen) -> int:
    return warnings.dns if isinstance(warnings, PodWarnings) else 0


def _dns(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
    def say(kind: str, level: Level, message: str, share: float | None = None) -> Verdict:
        value = None if share is None else share * 100
        return Verdict(
            subject="dns",
            kind=kind,
            level=level,
            message=message,
            value=value,
            unit="% errors" if value is not None else "",
        )

    if forming := _forming(look.warnings):
        yield say(
            "cut-off", Level.WARNING, f"DNSConfigForming on {forming} pods: names are left out"
        )
    fleet = look.fleet
    if isinstance(fleet, Unseen):
        yield say("unseen", Level.UNKNOWN, fleet.reason)
    elif fleet is not None and fleet.dns_errors is None:
        yield say("unseen", Level.UNKNOWN, fleet.gaps.get("dns", "Prometheus does not tell"))
    elif fleet is not None and fleet.dns_errors is not None:
        slow = fleet.dns_p99_seconds or 0.0
        told = f"{fleet.dns_errors:.1%} of answers are SERVFAIL, 99 of 100 take up to {slow:.2g} s"
        if fleet.dns_errors >= limits.dns_failing_critical:
            yield say("failing", Level.CRITICAL, told, fleet.dns_errors)
        elif fleet.dns_errors >= limits.dns_failing:
            yield say("failing", Level.WARNING, told, fleet.dns_errors)
        elif slow >= limits.dns_seconds:
            yield say("slow", Level.WARNING, told, fleet.dns_errors)
        else:
            yield say("ok", Level.OK, told, fleet.dns_errors)


class Entry(Struct, frozen=True):
    """A line of the timeline: from now on it is so."""

    at: datetime
    verdict: Verdict


class Timeline:
    """Keeps the first and the last verdict of each subject and every change between."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.now: list[Verdict] = []
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self._first: dict[str, Verdict] = {}
        self._last: dict[str, Verdict] = {}

    def take(self, at: datetime, found: list[Verdict]) -> list[Entry]:
        """What has changed with this look, worst first."""
        self.began = self.began or at
        self.ended = at
        self.now = found
        changed = []
        for verdict in found:
            last = self._last.get(verdict.subject)
            if last is None or (last.kind, last.level) != (verdict.kind, verdict.level):
                changed.append(Entry(at, verdict))
            self._last[verdict.subject] = verdict
            if verdict.value is not None:
                self._first.setdefault(verdict.subject, verdict)
        self.entries += changed
        return changed

    def since_start(self, verdict: Verdict) -> tuple[float, str] | None:
        """What its number has gained since the start, and the unit; None: no number then or now."""
        first = self._first.get(verdict.subject)
        if verdict.value is None or first is None or first.value is None:
            return None
        return verdict.value - first.value, verdict.unit

    @property
    def critical(self) -> bool:
        """Whether anything critical was seen at any time."""
        return any(e.verdict.level is Level.CRITICAL for e in self.entries)

    @property
    def whole(self) -> bool:
        """Whether the last look saw all it was asked for."""
        return bool(self.now) and all(v.level is not Level.UNKNOWN for v in self.now)
