"""Which limit of a report breaks next, and at how many nodes, pods or services."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from k8sdiag.model import Report, Usage


class Nearest(Struct, frozen=True, kw_only=True):
    """One limit by the subject that is closest to it."""

    usage: Usage
    breaks_at: float | None  # value of usage.driver; None: unknown, or growth never reaches it

    @property
    def ratio(self) -> float:
        """Used of the limit: 1.0 is the limit itself, infinite where the limit is 0."""
        return self.usage.ratio


def nearest_limits(report: Report) -> list[Nearest]:
    """Every limit that the report measured, the fullest first, each by its worst subject."""
    usages = (usage for outcome in report.outcomes for usage in outcome.usages)
    return nearest(usages, report.scale)


def nearest(usages: Iterable[Usage], scale: Mapping[str, float]) -> list[Nearest]:
    """As nearest_limits; `scale` is the present value of each driver: {"nodes": 1000.0}."""
    worst: dict[str, Usage] = {}
    for usage in sorted(usages, key=_order):
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


def _order(usage: Usage) -> tuple[float, str, str]:
    return (-usage.ratio, usage.limit_id, usage.subject)
