"""Which limit of a report breaks next, and at which size of the cluster.

The model is one line for all limits: a usage is a fixed part and a part that grows with its
driver, `fixed + (used - fixed) * driver / driver now`. Each check's page says why its limit
grows with what it names; a limit whose driver is none of nodes, pods and pods per node is not
projected.
"""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.model import Report, Usage

CONFIGURATION = "configuration"  # the driver of what only an edit makes larger


class Nearest(Struct, frozen=True, kw_only=True):
    """One limit by the subject that is closest to it."""

    usage: Usage
    breaks_at: float | None  # value of usage.driver; None: unknown, or growth never reaches it

    @property
    def ratio(self) -> float:
        """Used of the limit: 1.0 is the limit itself."""
        return self.usage.ratio

    @property
    def broken(self) -> bool:
        return is_broken(self.usage)


def is_broken(usage: Usage) -> bool:
    """Whether the limit is reached; what is written down may be as much as fits, and fits then."""
    if usage.driver == CONFIGURATION:
        return usage.used > usage.limit
    return usage.used >= usage.limit


def nearest_limits(report: Report) -> list[Nearest]:
    """Every limit that the report measured, the fullest first, each by its worst subject.

    What a configuration has room for is last: nothing that grows ever breaks it.
    """
    usages = (usage for outcome in report.outcomes for usage in outcome.usages)
    return nearest(usages, report.scale)


def nearest(usages: Iterable[Usage], scale: Mapping[str, float]) -> list[Nearest]:
    """As nearest_limits; `scale` is the present value of each driver: {"nodes": 1000.0}."""
    worst: dict[str, Usage] = {}
    for usage in sorted(filter(_bounds, usages), key=_order):
        worst.setdefault(usage.limit_id, usage)
    return [Nearest(usage=u, breaks_at=breaks_at(u, scale.get(u.driver))) for u in worst.values()]


def breaks_at(usage: Usage, now: float | None) -> float | None:
    """The value of the driver at which `fixed + (used - fixed) * value / now` is the limit.

    It says what happens when the cluster grows as it is: the same load for each node, pod or
    service. None when the driver's present value is unknown or 0, or nothing grows with it.
    """
    grows = usage.used - usage.fixed
    if not now or grows <= 0:
        return None
    return max(0.0, now * (usage.limit - usage.fixed) / grows)


class Projected(Struct, frozen=True, kw_only=True):
    """One limit, by its worst subject, at another size of the cluster."""

    check: str  # the check that measured it
    usage: Usage
    used_at_target: float | None  # None: nothing is known of what makes it grow
    breaks_at_nodes: float | None  # with the target's pods per node; None: nodes don't break it

    @property
    def breaks_at_target(self) -> bool:
        """What nobody knows how it grows is taken to stay as it is."""
        used = self.usage.used if self.used_at_target is None else self.used_at_target
        return is_broken(replace(self.usage, used=used))


class Projection(Struct, frozen=True, kw_only=True):
    nodes: float  # the target
    pods_per_node: float
    nodes_now: float
    pods_per_node_now: float
    limits: tuple[Projected, ...]  # the first to break first

    @property
    def first(self) -> Projected | None:
        """The limit that breaks first as the cluster grows, if any does."""
        return next((limit for limit in self.limits if limit.breaks_at_nodes is not None), None)

    @property
    def first_by_nodes(self) -> Projected | None:
        """The same of those that each node more brings nearer."""
        grown = (limit for limit in self.limits if limit.usage.driver in ("nodes", "pods"))
        return next((limit for limit in grown if limit.breaks_at_nodes is not None), None)


class UnknownSizeError(Exception):
    """The report does not tell how large the cluster is now; the message says what is missing."""


def project(report: Report, nodes: float, pods_per_node: float | None = None) -> Projection:
    """Every limit of the report at `nodes` nodes with `pods_per_node` pods each (default: as now).

    Raises UnknownSizeError without the cluster's present nodes and pods.
    """
    for driver in ("nodes", "pods_per_node"):
        if not report.scale.get(driver):
            raise UnknownSizeError(f"the cluster's {driver.replace('_', ' ')} are not known")
    now, dense_now = report.scale["nodes"], report.scale["pods_per_node"]
    dense = dense_now if pods_per_node is None else pods_per_node
    growth = {
        "nodes": nodes / now,
        "pods_per_node": dense / dense_now,
        "pods": nodes / now * dense / dense_now,
        CONFIGURATION: 1.0,
    }
    found = {}
    for outcome in report.outcomes:
        for usage in sorted(filter(_bounds, outcome.usages), key=_order):
            if usage.limit_id not in found:
                found[usage.limit_id] = Projected(
                    check=outcome.check,
                    usage=usage,
                    used_at_target=_grown(usage, growth),
                    breaks_at_nodes=_breaks_at_nodes(usage, now, growth),
                )
    return Projection(
        nodes=nodes,
        pods_per_node=dense,
        nodes_now=now,
        pods_per_node_now=dense_now,
        limits=tuple(sorted(found.values(), key=_first_to_break)),
    )


def _grown(usage: Usage, growth: Mapping[str, float]) -> float | None:
    if usage.driver not in growth:
        return None
    return usage.fixed + max(0.0, usage.used - usage.fixed) * growth[usage.driver]


def _breaks_at_nodes(usage: Usage, now: float, growth: Mapping[str, float]) -> float | None:
    if is_broken(usage) and usage.driver not in ("nodes", "pods"):
        return now  # broken already, whatever makes it grow
    if usage.driver == "pods_per_node":
        grown = _grown(usage, growth)
        # Each node by itself: at the target's density the first node is one too many.
        return 1.0 if grown is not None and grown >= usage.limit else None
    if usage.driver not in ("nodes", "pods"):
        return None
    at = breaks_at(usage, now)
    denser = growth["pods_per_node"] if usage.driver == "pods" else 1.0
    return None if at is None else at / denser


def _first_to_break(limit: Projected) -> tuple[float, float, str]:
    at = math.inf if limit.breaks_at_nodes is None else limit.breaks_at_nodes
    used = limit.usage.used if limit.used_at_target is None else limit.used_at_target
    return (at, -used / limit.usage.limit, limit.usage.limit_id)


def _bounds(usage: Usage) -> bool:
    """A limit of 0 bounds nothing: it is switched off, unlimited or not known."""
    return usage.limit > 0


def _order(usage: Usage) -> tuple[bool, float, str, str]:
    fits = usage.driver == CONFIGURATION and not is_broken(usage)
    return (fits, -usage.ratio, usage.limit_id, usage.subject)
