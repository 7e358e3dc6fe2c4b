"""Sources -> Snapshot. A source that fails costs its own fact and nothing else."""

import logging
import resource
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from k8sdiag.model import Cost, Fact, Missing, NotAsked, Snapshot, Unavailable
from k8sdiag.plugins import Source

log = logging.getLogger(__name__)

Door = object  # a reader: an instance of the class that sources name as their parameter


def collect(
    sources: Iterable[Source],
    doors: Mapping[type, Door | Missing],
    *,
    cluster: str,
    deadline_seconds: float = 600.0,
) -> Snapshot:
    """Look through every door at once, through each one thing after the other.

    So the API server never has more than one of our requests in flight, and a slow etcd does
    not hold up the kernel's tables. Readers put a deadline on every request; `deadline_seconds`
    is the last resort against one that hangs all the same.
    """
    begin = time.monotonic()
    looks: dict[type, dict[str, list[Source]]] = {}
    for source in sorted(sources, key=lambda s: s.last):
        looks.setdefault(source.door, {}).setdefault(source.fact.__name__, []).append(source)
    facts: dict[str, Fact] = {}
    ranks: dict[str, int] = {}  # of the door's best source, for the fact that is kept
    late = Missing(reason=f"it did not answer within {deadline_seconds:g}s")
    # In the order of the doors, whoever answers first: the same look gives the same reasons.
    missing: dict[str, dict[type, list[Missing]]] = {}
    for kind, wanted in looks.items():
        for name in wanted:
            missing.setdefault(name, {})[kind] = [late]  # until it has answered
    seconds: dict[str, float] = {}
    lock = threading.Lock()
    closed = False  # past the deadline nobody writes any more

    def look(kind: type, door: Door, wanted: dict[str, list[Source]]) -> None:
        for name, candidates in wanted.items():
            start = time.monotonic()
            fact, why = first(candidates, door)
            with lock:
                if closed:
                    return
                seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
                missing[name][kind] = why
                # One fact, several doors: the better source wins whoever was first.
                rank = candidates[0].rank
                if fact is not None and rank < ranks.get(name, rank + 1):
                    facts[name], ranks[name] = fact, rank

    threads = []
    for kind, wanted in looks.items():
        door = doors.get(kind, Missing(reason=f"nothing opens {kind.__name__}"))
        if isinstance(door, Missing):
            for name in wanted:
                missing[name][kind] = [door]
        else:
            threads.append(threading.Thread(target=look, args=(kind, door, wanted), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join(max(0.0, begin + deadline_seconds - time.monotonic()))
    with lock:
        closed = True
    reasons = {
        name: [m for why in by_door.values() for m in why] for name, by_door in missing.items()
    }
    # Doors that talk to the cluster count what they ask; the host's costs it nothing.
    costs = (getattr(door, "cost", None) for door in doors.values())
    here = Cost(seconds=round(time.monotonic() - begin, 3), peak_rss_bytes=_peak_rss_bytes())
    return Snapshot(
        cluster=cluster,
        taken_at=datetime.now(UTC).replace(microsecond=0),
        facts=dict(sorted(facts.items())),
        missing={n: joined(why) for n, why in sorted(reasons.items()) if n not in facts},
        seconds={n: round(s, 3) for n, s in sorted(seconds.items())},
        cost=sum((c for c in costs if isinstance(c, Cost)), start=here),
    )


def first(candidates: list[Source], door: Door) -> tuple[Fact | None, list[Missing]]:
    """What the first source that can sees; or why none can."""
    why = []
    for source in candidates:
        try:
            return source.collect(door), []
        except Unavailable as error:
            why.append(Missing(reason=str(error), asked=not isinstance(error, NotAsked)))
        except Exception as error:
            log.debug("source %s raised", source.name, exc_info=True)
            why.append(Missing(reason=f"a bug of the source {source.name}: it raised {error!r}"))
    return None, why


def joined(why: list[Missing]) -> Missing:
    """Several reasons for the same missing fact as one: first those of who was asked in vain."""
    reasons = dict.fromkeys(m.reason for m in sorted(why, key=lambda m: not m.asked))
    return Missing(reason="; ".join(reasons), asked=any(m.asked for m in why))


def _peak_rss_bytes() -> int:
    """The most memory this process has held; getrusage's figure would include its parent's."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
