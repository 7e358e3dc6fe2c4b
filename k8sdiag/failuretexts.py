"""Lines by which etcd and kube-apiserver tell of known failures, in all formats they log in.

Each expression is held to where the program itself writes: after `"msg":"` of zap's JSON (etcd
3.5 on), after the package of capnslog (etcd 3.4 by default), or with the `etcdserver:` of an
error in the API server's log. Keys and values that stand in a line can't match.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from k8sdiag.facts.control_plane_logs import Match

ETCD, API_SERVER = "etcd", "kube-apiserver"

TEXTS: dict[str, dict[str, str]] = {
    ETCD: {
        "nospace": r'"msg":"(alarm raised|serving /health false due to an alarm)",'
        r'"alarm":"(memberID:\d+ alarm:)?NOSPACE'
        r'|"msg":"message exceeded backend quota; raising alarm"'
        r"|\betcdserver: alarm NOSPACE raised by peer "
        r"|\betcdhttp: /health error due to memberID:\d+ alarm:NOSPACE",
        "corrupt": r'"msg":"(alarm raised|serving /health false due to an alarm)",'
        r'"alarm":"(memberID:\d+ alarm:)?CORRUPT'
        r'|"msg":"found data inconsistency with peers"'
        r"|\betcdserver: alarm CORRUPT raised by peer "
        r"|\betcdhttp: /health error due to memberID:\d+ alarm:CORRUPT",
        "leader-lost": r'("msg":"|\bINFO: )raft\.node: [0-9a-f]+ lost leader [0-9a-f]+ at term',
        "no-leader": r'"msg":"serving /health false; no leader"'
        r"|\betcdhttp: /health error; no leader",
        "slow-disk": r'"msg":"slow fdatasync"| \| wal: sync duration of ',
        "slow-apply": r'"msg":"apply request took too long"'
        r'| \| etcdserver: (read-only range )?request ".*took too long',
        "late-heartbeat": r'"msg":"leader failed to send out heartbeat on time'
        r"| \| etcdserver: failed to send out heartbeat on time",
        "clock-drift": r'"msg":"prober found high clock drift"'
        r"| \| rafthttp: the clock difference against peer ",
    },
    API_SERVER: {
        "nospace": r"\betcdserver: mvcc: database space exceeded",
        "etcd-timeout": r"\betcdserver: request timed out",
        "etcd-leader": r"\betcdserver: (leader changed|no leader)",
        "etcd-overloaded": r"\betcdserver: too many requests",
        "too-large": r"\betcdserver: request is too large",
    },
}
_COMPILED = {
    component: {name: re.compile(pattern) for name, pattern in texts.items()}
    for component, texts in TEXTS.items()
}


def matches(component: str, lines: Iterable[tuple[datetime, str]]) -> tuple[Match, ...]:
    """What the lines of a component's log tell of, by name."""
    times: dict[str, list[datetime]] = {}
    for when, text in lines:
        for name, pattern in _COMPILED[component].items():
            if pattern.search(text):
                times.setdefault(name, []).append(when)
    return tuple(
        Match(name=name, lines=len(seen), first=min(seen), last=max(seen))
        for name, seen in sorted(times.items())
    )


def dated(log: str) -> Iterator[tuple[datetime, str]]:
    """The lines of a log that the API gave with timestamps=true; others are left out."""
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", stamp)
        if found:
            zone = "+00:00" if found[2] == "Z" else found[2]
            yield datetime.fromisoformat(found[1] + zone).astimezone(UTC), text
