"""What the kubelets' own metrics say of the rates that the model assumes: pure.

They tell less than events do: for each class of sizes how many pulls took how long, over all
nodes, with the time in the kubelet's queue. But they go back to each kubelet's start, where events
are gone after an hour.
"""

import math
from collections import Counter
from collections.abc import Callable
from statistics import median

from msgspec.structs import replace

from k8sdiag.coldstart import Rates
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pulls import PullTimes, SizeClass
from k8sdiag.histogram import UNBOUNDED, quantile
from k8sdiag.pulls.downloads import Downloads
from k8sdiag.pulls.rates import LEAST_SECONDS, Measured, agreeing, speed

_MOST = 1000  # pulls that stand for all, spread evenly over their times


def measured_by_metrics(
    times: PullTimes,
    nodes: Nodes,
    downloads_of: Callable[[Node], Downloads],
    assumed: Rates,
    *,
    enough: int,
) -> dict[str, Measured]:
    """Under "*" of all nodes; empty with fewer than `enough` pulls.

    Also where nodes have runtimes that mean different sizes (compressed or not): these metrics
    do not say whose a pull was. An image is taken to be as large as the median one of its class
    that the nodes list, and the time in the queue to be the same part of each pull.
    """
    slow = {each: counts for each in times.classes if (counts := _not_there(each))}
    pulls = sum(counts[-1][1] for counts in slow.values())
    if pulls < enough or len({node.runtime.partition("://")[0] for node in nodes.nodes}) != 1:
        return {}
    runtimes = Counter(node.runtime for node in nodes.nodes)
    node = max(nodes.nodes, key=lambda n: runtimes[n.runtime])
    seen = []
    for each, counts in slow.items():
        size = _size(each, nodes)
        shown = math.ceil(counts[-1][1] * min(1.0, _MOST / pulls))
        for i in range(shown):
            seconds = times.pulling_share * (quantile((i + 0.5) / shown, counts) or 0.0)
            if told := speed(size, seconds, node, downloads_of(node), assumed):
                seen.append(told)
    if not seen:
        return {}
    found = agreeing(seen, assumed)
    return {"*": replace(found, pulls=round(pulls), source=times.provenance)}


def _not_there(of: SizeClass) -> list[tuple[float, float]]:
    """Without the pulls that were so fast that the image was there; [] if no other is left."""
    there = max((count for le, count in of.seconds if le <= LEAST_SECONDS), default=0.0)
    counts = [(le, count - there) for le, count in of.seconds if le > LEAST_SECONDS]
    return [(LEAST_SECONDS, 0.0), *counts] if counts and counts[-1][1] > 0 else []


def _size(of: SizeClass, nodes: Nodes) -> float:
    listed = [i.size_bytes for i in nodes.images if of.least_bytes <= i.size_bytes < of.most_bytes]
    if listed:
        return median(listed)
    most = of.least_bytes if of.most_bytes >= UNBOUNDED else of.most_bytes
    return math.sqrt(of.least_bytes * most)
