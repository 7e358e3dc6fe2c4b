"""The limits of image-pull, and the words for what its numbers rest on."""

from typing import Annotated

from msgspec import Meta

from k8sdiag.coldstart import MIB, Rates
from k8sdiag.model import Limits
from k8sdiag.pulls.forecast import Forecast

_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(gt=0)]


class ImagePull(Limits, frozen=True, kw_only=True):
    # progressDeadlineSeconds of a Deployment unless set: past it a rollout counts as failed.
    progress_deadline_seconds: _Positive = 600.0
    # The cluster autoscaler's --max-node-provision-time, and Karpenter's time to register.
    provision_seconds: _Positive = 900.0
    # tolerationSeconds for node.kubernetes.io/not-ready that the API server gives every pod:
    # a node that is not ready for longer loses its pods.
    not_ready_seconds: _Positive = 300.0
    # Twice the cluster autoscaler's --max-node-provision-time of 15m: past it even if the
    # assumed rates are half of the real ones.
    critical_minutes: float = 30.0
    # Other settings have to bring a cold start to this part of itself, or they are no remedy.
    gain: float = 0.8
    # Pulled at once by the remedy: 2 to 3 on a slow disk, up to 10 on NVMe.
    parallel_pulls: _Count = 5
    # Downloads at once by the remedy: SOCI's and Bottlerocket's examples take 10 to 20.
    concurrent_downloads: _Count = 10
    # Fewer pulls of 100 MB and more tell nothing of the rates.
    enough_pulls: _Count = 10
    # EKS asks for at least as much before it pulls in parallel (nodeadm, FastImagePull: 600).
    slow_disk_mib_per_second: float = 300.0
    # On such a disk more pulls than this at once slow each other down.
    slow_disk_pulls: _Count = 10
    # Assumed of every node until its cluster's own pulls tell, see k8sdiag.coldstart.Rates.
    stream_mib_per_second: _Positive = 60.0
    gunzip_mib_per_second: _Positive = 80.0
    disk_mib_per_second: _Positive = 1000.0
    link_mib_per_second: _Positive = 1192.0  # 10 Gbit/s

    @property
    def rates(self) -> Rates:
        return Rates(
            stream_bytes_per_second=self.stream_mib_per_second * MIB,
            gunzip_bytes_per_second=self.gunzip_mib_per_second * MIB,
            disk_bytes_per_second=self.disk_mib_per_second * MIB,
            link_bytes_per_second=self.link_mib_per_second * MIB,
        )


def basis(forecast: Forecast, limits: ImagePull) -> str:
    """The rates that a time rests on; where pulls were seen, both times side by side."""
    downloads = forecast.downloads
    rates = (
        f"{limits.stream_mib_per_second:g} MiB/s each, {limits.gunzip_mib_per_second:g} MiB/s "
        f"gunzip, {limits.disk_mib_per_second:g} MiB/s disk"
    )
    assumed = f"assumed: {downloads.words}, {rates}"
    if downloads.source:
        assumed = f"assumed: {rates}, of {downloads.words}"
    if forecast.measured is None:
        return assumed
    slow = forecast.cold_with(forecast.measured.slow)
    return (
        f"by {forecast.measured.words}; at the rate of the slowest tenth {time(slow)}; "
        f"{time(forecast.cold_with(limits.rates))} at the rates that are otherwise {assumed}"
    )


def time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
