"""etcd, by its own word and by what the API server counts."""

from collections.abc import Iterator

from k8sdiag.facts.signals import Counters, EtcdState, PodWarnings, Unseen
from k8sdiag.watching.nouns import Level, Look, Verdict, WatchLimits


def etcd(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
    for endpoint, state in (look.etcd or {}).items():
        yield _member(endpoint, state, limits)
    ready = look.lists.get("/readyz")
    if ready and "[-]etcd" in ready.why:
        told = f"the API server does not reach it: {ready.why}"
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
    writes = (now.writes or 0) - (before.writes or 0) if before else 0.0
    if before is None or not writes:
        return _since_its_start(now, held, size, limits)
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


def _since_its_start(now: Counters, held: str, size: float | None, limits: WatchLimits) -> Verdict:
    """A few failures may be of last month or of now, when a full etcd refuses its first writes."""
    errors, writes = now.write_errors, now.writes or 0
    told = f"{held}; {errors:,.0f} of {writes:,.0f} writes failed since the API server started"
    if not errors:
        return _of_etcd("ok", Level.OK, told, size)
    told += "; whether they fail now is told with its next ones"
    if errors >= limits.failing * writes:
        return _of_etcd("refused", Level.WARNING, told, size)
    return _of_etcd("undecided", Level.UNKNOWN, told, size)
