"""The kernel limits of all nodes, from the exporters that Prometheus scrapes: a query a limit.

First what k8sdiag's own exporter tells, or the file that `k8sdiag node -o prometheus` writes;
then node_exporter's series, of collectors that are on by default.
"""

from collections.abc import Iterator
from contextlib import suppress

from msgspec import Struct

from k8sdiag.facts.fleet import FleetLimit, FleetLimits, Reading
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources._node_targets import NODE_LABELS, Place, names, of_one_cluster, place

WINDOW_SECONDS = 600.0  # two samples and more where a scrape comes every five minutes
_FRESH_SECONDS = 3600  # a file that was written by a timer may be as old
_KEPT = ", ".join(("__name__", "job", "instance", "cluster", *NODE_LABELS, "subject"))

# Who tells of a node: our exporters, with the node's name in a usage, and node_exporter, with its
# host's name. Not the cluster exporter: it repeats what it read here, and would never forget it.
_WHO = f"""max by ({_KEPT}) (
  ((k8sdiag_snapshot_timestamp_seconds > time() - {_FRESH_SECONDS})
    unless on (job, instance) k8sdiag_snapshot_refresh_success)
  or k8sdiag_usage{{limit_id=~"neighbor-ipv4|threads"}}
  or node_uname_info
)"""


# By how much a counter rose within the window, and what the scrape calls the node.
Increases = dict[Place, tuple[float, tuple[str, ...]]]


class _Level(Struct, frozen=True):
    """A limit and how much of it is used; both names are node_exporter's, empty if it has none."""

    check: str
    used: str = ""
    limit: str = ""
    drops: str = ""
    own_network: bool = False


class _Counter(Struct, frozen=True):
    metric: str
    own_network: bool = False
    without: str = ""  # a label to sum over


# `own_network` is one per network namespace: in a pod's, node_exporter tells the pod's and not the
# node's, and such a pod's host name is the pod's. Where node_exporter calls itself as the node is
# called, it shares the node's.
_LEVELS = {
    "conntrack": _Level(
        "conntrack",
        "node_nf_conntrack_entries",
        "node_nf_conntrack_entries_limit",
        drops="node_nf_conntrack_stat_drop",
        own_network=True,
    ),
    "ephemeral-ports": _Level("ephemeral-ports"),
    "file-handles": _Level("file-handles", "node_filefd_allocated", "node_filefd_maximum"),
    "inotify-instances": _Level("inotify"),
    "inotify-watches": _Level("inotify"),
    "threads": _Level("threads"),
}
_COUNTERS = {
    "listen-overflow": _Counter("node_netstat_TcpExt_ListenOverflows", own_network=True),
    "softnet-drops": _Counter("node_softnet_dropped_total", without="cpu"),
}


class _Who(Struct, frozen=True):
    subjects: dict[Place, str]  # exporter of ours -> its node's name, empty if it is not known
    hosts: dict[Place, str]  # node_exporter -> its host's name


def collect(reader: Prometheus) -> FleetLimits:
    who = _who(reader)
    levels = {i: _known(reader, _levels(reader, who, i, kind)) for i, kind in _LEVELS.items()}
    counters = {i: _known(reader, _counters(reader, who, kind)) for i, kind in _COUNTERS.items()}
    return FleetLimits(limits=levels | counters, provenance=reader.name)


def _who(reader: Prometheus) -> _Who:
    told = reader.instant(_WHO)
    of_one_cluster(reader, {labels.get("cluster", "") for labels, _ in told})
    subjects: dict[Place, set[str]] = {}
    for labels, _ in told:
        if labels.get("__name__") == "k8sdiag_snapshot_timestamp_seconds":
            subjects[place(labels)] = set()
    for labels, _ in told:
        if labels.get("__name__") == "k8sdiag_usage" and place(labels) in subjects:
            subjects[place(labels)].add(labels.get("subject", ""))
    unames = [labels for labels, _ in told if labels.get("__name__") == "node_uname_info"]
    hosts = {place(labels): labels.get("nodename", "") for labels in unames}
    if not subjects and not hosts:
        raise Unavailable(
            f"{reader.name} scrapes neither k8sdiag's node exporter nor node_exporter: run "
            "`k8sdiag serve node` on every node"
        )
    # A file that an audit wrote tells of several nodes.
    one = {p: next(iter(s), "") for p, s in subjects.items() if len(s) < 2}
    return _Who(subjects={p: _node(s) for p, s in one.items()}, hosts=hosts)


def _node(subject: str) -> str:
    return subject.removeprefix("node/") if subject.startswith("node/") else ""


def _known(reader: Prometheus, readings: Iterator[Reading]) -> FleetLimit:
    """What can be had of one limit; a query that fails costs no other one."""
    try:
        return FleetLimit(tuple(readings), "; ".join(reader.warnings))
    except Unavailable as error:
        return FleetLimit(gap=str(error))


def _levels(reader: Prometheus, who: _Who, limit_id: str, kind: _Level) -> Iterator[Reading]:
    ours = ("k8sdiag_usage", "k8sdiag_usage_limit", "k8sdiag_check_success")
    metrics = "|".join((*ours, *filter(None, (kind.used, kind.limit))))
    # A series has the one label, the other, or none of them.
    selector = f'{{__name__=~"{metrics}",limit_id=~"{limit_id}|",check=~"{kind.check}|"}}'
    drops: Increases = {}
    if kind.drops:
        with suppress(Unavailable):  # a full table is told without them too
            drops = _increases(reader, kind.drops)
    found: dict[Place, dict[str, float]] = {}
    called: dict[Place, tuple[str, ...]] = {}
    subjects: dict[Place, str] = {}
    for labels, value in reader.instant(f"max by ({_KEPT}) ({selector})"):
        at = place(labels)
        found.setdefault(at, {})[labels.get("__name__", "")] = value
        called[at] = names(labels)
        subjects[at] = subjects.get(at) or _node(labels.get("subject", ""))
    for at, numbers in sorted(found.items()):
        used, limit, success = map(numbers.get, ours)
        if at in who.subjects and (success or limit is not None):
            yield Reading(
                names=_distinct(who.subjects[at] or subjects[at], *called[at]),
                source="k8sdiag",
                used=(used or 0.0) if limit else 0.0,
                limit=limit or 0.0,
                whole=success == 1,
            )
        used, limit = numbers.get(kind.used), numbers.get(kind.limit)
        if used is not None and limit is not None:
            yield Reading(
                names=_called(who, at, called[at], kind.own_network),
                source="node_exporter",
                used=used,
                limit=limit,
                drops=drops.get(at, (0.0, ()))[0],
                seconds=WINDOW_SECONDS,
            )


def _counters(reader: Prometheus, who: _Who, kind: _Counter) -> Iterator[Reading]:
    for at, (increase, called) in _increases(reader, kind.metric, kind.without).items():
        yield Reading(
            names=_called(who, at, called, kind.own_network),
            source="node_exporter",
            used=increase,
            seconds=WINDOW_SECONDS,
        )


def _increases(reader: Prometheus, metric: str, without: str = "") -> Increases:
    promql = f"sum without ({without}) (increase({metric}[{WINDOW_SECONDS:g}s]))"
    told = reader.instant(f"max by ({_KEPT}) ({promql})")
    return dict(sorted((place(labels), (value, names(labels))) for labels, value in told))


def _called(who: _Who, at: Place, scrape: tuple[str, ...], own_network: bool) -> tuple[str, ...]:
    host = who.hosts.get(at, "")
    return _distinct(host) if own_network else _distinct(host, *scrape)


def _distinct(*told: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, told)))
