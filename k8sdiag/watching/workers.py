"""What the nodes and the pods on them run into."""

from collections.abc import Iterator

from k8sdiag.facts.signals import Fleet, NodeStates, PodWarnings, Unseen
from k8sdiag.watching.nouns import Level, Look, Verdict, WatchLimits


def nodes(nodes: NodeStates | Unseen, limits: WatchLimits) -> Verdict:
    def say(kind: str, level: Level, message: str, bad: float | None = None) -> Verdict:
        unit = "nodes" if bad is not None else ""
        return Verdict(
            subject="nodes", kind=kind, level=level, message=message, value=bad, unit=unit
        )

    if isinstance(nodes, Unseen):
        return say("unseen", Level.UNKNOWN, nodes.reason.removeprefix("nodes: "))
    bad = len(nodes.not_ready)
    part = f" of the first {nodes.seen:,}; {nodes.left:,} were not read" if nodes.left else ""
    if not bad:
        level = Level.UNKNOWN if nodes.left else Level.OK
        return say("partial" if nodes.left else "ok", level, f"{nodes.seen:,} ready{part}", 0)
    few = ", ".join(nodes.not_ready[:3]) + (", ..." if bad > 3 else "")
    told = f"{bad:,} of {nodes.seen:,} not ready{part}: {few}"
    critical = bad >= 2 and bad >= limits.nodes_critical * nodes.seen
    return say("not-ready", Level.CRITICAL if critical else Level.WARNING, told, bad)


def pulls(look: Look, limits: WatchLimits) -> Verdict:
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


def neighbors(fleet: Fleet | Unseen) -> Verdict:
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


def forming(warnings: PodWarnings | Unseen) -> int:
    return warnings.dns if isinstance(warnings, PodWarnings) else 0


def dns(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
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

    if pods := forming(look.warnings):
        yield say("cut-off", Level.WARNING, f"DNSConfigForming on {pods} pods: names are left out")
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
