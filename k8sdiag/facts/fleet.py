"""The kernel limits of a cluster's nodes, as the exporters on them tell Prometheus."""

from msgspec import Struct

from k8sdiag.model import Fact


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of one limit of one node; of nothing used and no limit, that it is judged."""

    names: tuple[str, ...] = ()  # what the exporter and its scrape call the node, the best first
    source: str = ""  # "k8sdiag" or "node_exporter"
    used: float = 0.0  # of a counter, its increase within `seconds`
    limit: float = 0.0  # a counter has none
    drops: float = 0.0  # of connection tracking, the increase within `seconds`
    seconds: float = 0.0
    whole: bool = True  # False: the exporter itself could not see all that decides


class FleetLimit(Struct, frozen=True):
    readings: tuple[Reading, ...] = ()
    gap: str = ""  # why there may be more than these


class FleetLimits(Fact, frozen=True, kw_only=True):
    """By the id of the limit, "conntrack"; a counter's is the id of its check."""

    limits: dict[str, FleetLimit]
