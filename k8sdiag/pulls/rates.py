"""What a cluster's own image pulls say of the rates that the model assumes: pure."""

from collections.abc import Callable, Iterable
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.coldstart import MIB, Puller, Rates, image_of, pull_seconds
from k8sdiag.facts.nodes import Node
from k8sdiag.facts.pulls import Pull
from k8sdiag.pulls.downloads import Downloads

LARGE_BYTES = 100e6  # below it the overhead decides, not the rates
LEAST_SECONDS = 1.0  # a faster pull found its layers on the node

Speed = tuple[float, float]  # times as fast as the model, compressed bytes a second


class Measured(Struct, frozen=True, kw_only=True):
    """Rates that make the model agree with the median pull, and with the slowest tenth."""

    rates: Rates
    slow: Rates
    pulls: int
    source: str = ""  # what told of them, where it is not their events
    mib_per_second: float  # median, of compressed bytes from the first to the last

    @property
    def words(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return f"{self.pulls} pulls of its own{source}, median {self.mib_per_second:.0f} MiB/s"


def measured(
    pulls: Iterable[Pull],
    nodes: Iterable[Node],
    downloads_of: Callable[[Node], Downloads],
    assumed: Rates,
    *,
    enough: int,
) -> dict[str, Measured]:
    """By pool, and under "*" of all nodes; without those that saw fewer than `enough` pulls.

    Pulls that ran side by side slowed each other down, which counts as slow rates; layers that
    were on the node already count as fast ones.
    """
    by_name = {node.name: node for node in nodes}
    found: dict[str, list[Speed]] = {}
    for pull in pulls:
        node = by_name.get(pull.node)
        if node is None or pull.seconds is None:
            continue
        seen = speed(pull.size_bytes, pull.seconds, node, downloads_of(node), assumed)
        if seen is None:
            continue
        found.setdefault("*", []).append(seen)
        if node.pool:
            found.setdefault(node.pool, []).append(seen)
    return {pool: agreeing(seen, assumed) for pool, seen in found.items() if len(seen) >= enough}


def speed(
    size_bytes: float, seconds: float, node: Node, downloads: Downloads, assumed: Rates
) -> Speed | None:
    """Of a pull that tells something, by its image's size as its node tells it."""
    if seconds < LEAST_SECONDS:
        return None
    image = image_of(size_bytes, node.runtime, assumed)
    seconds -= assumed.overhead_seconds
    rate = image.compressed_bytes / seconds
    if image.compressed_bytes < LARGE_BYTES or rate > assumed.link_bytes_per_second:
        return None
    puller = Puller(streams=downloads.at_once, layers_in_parts=downloads.in_parts)
    model = pull_seconds(image, puller, assumed) - assumed.overhead_seconds
    return model / seconds, rate


def agreeing(seen: list[Speed], assumed: Rates) -> Measured:
    times = sorted(times for times, _ in seen)
    return Measured(
        rates=_scaled(assumed, median(times)),
        slow=_scaled(assumed, times[len(times) // 10]),
        pulls=len(seen),
        mib_per_second=median(rate for _, rate in seen) / MIB,
    )


def _scaled(rates: Rates, times: float) -> Rates:
    """All rates alike: one number per pull can't tell which of them it was."""
    return replace(
        rates,
        stream_bytes_per_second=rates.stream_bytes_per_second * times,
        link_bytes_per_second=rates.link_bytes_per_second * times,
        gunzip_bytes_per_second=rates.gunzip_bytes_per_second * times,
        disk_bytes_per_second=rates.disk_bytes_per_second * times,
    )
