"""How long each node's image pulls take when it starts, with the settings it is known to have."""

import math
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.coldstart import ColdStart, Puller, Rates
from k8sdiag.facts.kubelet import KubeletSettings
from k8sdiag.facts.nodes import Node
from k8sdiag.pulls.downloads import Downloads, KnownDownloads
from k8sdiag.pulls.kubelets import Known
from k8sdiag.pulls.nodeimages import Demand, only
from k8sdiag.pulls.rates import Measured
from k8sdiag.pulls.simulation import Pulled, simulate


class Forecast(Struct, frozen=True, kw_only=True):
    """One node's start, in seconds."""

    demand: Demand
    settings: KubeletSettings | None  # None: unknown, and why; then it pulls without a bound
    why: str
    downloads: Downloads
    puller: Puller
    rates: Rates
    measured: Measured | None  # None: the rates are assumed
    cold_seconds: float  # until all its pods run, on an empty disk
    serial_seconds: float  # the same, one image at a time
    daemons_seconds: float  # the same, until its DaemonSet and static pods run
    critical_seconds: float  # the same, until its node-critical pods run
    new_seconds: float  # a new node that has no other pods yet, until its DaemonSet pods run

    @property
    def serial(self) -> bool:
        return self.puller.slots == 1

    @property
    def what(self) -> str:
        demand = self.demand
        unsized = f" and {demand.unsized} of unknown size" if demand.unsized else ""
        size = f"{demand.compressed_bytes / 1e9:.3g} GB{unsized}"
        return f"{demand.node.name}'s {demand.count} images ({size})"

    @property
    def how(self) -> str:
        if self.settings is None:
            return "in parallel at best"
        slots = self.puller.slots
        many = "one" if slots == 1 else "any number" if slots == math.inf else f"{slots:g}"
        source = self.settings.sources.get("serialize_image_pulls")
        return f"{many} at a time" + (f" ({source})" if source else "")

    @property
    def warm_seconds(self) -> float:
        """A restart that keeps the disk: the registry is asked for what is always pulled."""
        return simulate(self.demand.warm, self.puller, self.rates).seconds

    def cold_with(self, rates: Rates) -> float:
        return simulate(self.demand.cold, self.puller, rates).seconds


class Option(Struct, frozen=True, kw_only=True):
    """Other settings, and how long a cold start takes with them."""

    slots: int | None = None  # maxParallelImagePulls; None: as it is
    streams: int | None = None  # max_concurrent_downloads; None: as it is
    seconds: float

    @property
    def what(self) -> str:
        names = {"maxParallelImagePulls": self.slots, "max_concurrent_downloads": self.streams}
        return " and ".join(f"{name} {value}" for name, value in names.items() if value)


class Forecaster:
    """Forecasts nodes, equal ones once."""

    def __init__(
        self,
        known: Known,
        downloads: KnownDownloads,
        assumed: Rates,
        measured: dict[str, Measured],
    ) -> None:
        self._known = known
        self._downloads = downloads
        self._assumed = assumed
        self._measured = measured
        self._seen: dict[tuple[ColdStart, Puller, Rates], Pulled] = {}

    def forecast(self, demand: Demand) -> Forecast:
        node = demand.node
        settings, why = self._known.of(node)
        measured = self._measured.get(node.pool) or self._measured.get("*")
        rates = measured.rates if measured else self._assumed
        downloads = self._downloads.of(node)
        puller = _puller(node, settings, downloads)
        cold = self._simulate(demand.cold, puller, rates)
        one = puller if puller.slots == 1 else replace(puller, slots=1.0)
        new = self._simulate(only(demand.cold, demand.daemons), puller, rates)
        return Forecast(
            demand=demand,
            settings=settings,
            why=why,
            downloads=downloads,
            puller=puller,
            rates=rates,
            measured=measured,
            cold_seconds=cold.seconds,
            serial_seconds=self._simulate(demand.cold, one, rates).seconds,
            daemons_seconds=_last(cold, demand.daemons),
            critical_seconds=_last(cold, demand.critical),
            new_seconds=new.seconds,
        )

    def _simulate(self, start: ColdStart, puller: Puller, rates: Rates) -> Pulled:
        key = (start, puller, rates)
        if key not in self._seen:
            self._seen[key] = simulate(*key)
        return self._seen[key]


def options(forecast: Forecast, *, slots: int, streams: int) -> list[Option]:
    """What other settings would make of a node's cold start, the one that helps most first.

    Both together come last, whatever they bring: one change at a time shows what it did.
    """
    puller = forecast.puller
    changes: list[tuple[int | None, int | None]] = []
    if forecast.settings is not None and (slots > puller.slots or puller.slots == math.inf):
        changes.append((slots, None))
    if streams > puller.streams and forecast.downloads.settable:
        changes.append((None, streams))
    single = sorted((_option(forecast, s, d) for s, d in changes), key=lambda o: o.seconds)
    return [*single, _option(forecast, slots, streams)] if len(single) > 1 else single


def _option(forecast: Forecast, slots: int | None, streams: int | None) -> Option:
    puller = forecast.puller
    if slots is not None:
        # The remedy sets the pull rate as well, so that nothing is refused.
        puller = replace(puller, slots=float(slots), qps=0.0)
    if streams is not None:
        puller = replace(puller, streams=streams)
    done = simulate(forecast.demand.cold, puller, forecast.rates)
    return Option(slots=slots, streams=streams, seconds=done.seconds)


def _puller(node: Node, settings: KubeletSettings | None, downloads: Downloads) -> Puller:
    puller = Puller(
        streams=downloads.at_once,
        streams_per_node=downloads.per_node,
        layers_in_parts=downloads.in_parts,
        cpus=node.cpus or math.inf,
    )
    if settings is None:
        return puller
    return replace(
        puller,
        slots=settings.slots or math.inf,
        qps=float(settings.registry_pull_qps or 0),
        burst=settings.registry_burst or 0,
    )


def _last(pulled: Pulled, of: tuple[bool, ...]) -> float:
    return max((s for s, wanted in zip(pulled.pods, of, strict=True) if wanted), default=0.0)


def by_pool(forecasts: Iterator[Forecast]) -> dict[str, list[Forecast]]:
    found: dict[str, list[Forecast]] = {}
    for forecast in forecasts:
        found.setdefault(forecast.demand.node.pool, []).append(forecast)
    return dict(sorted(found.items()))
