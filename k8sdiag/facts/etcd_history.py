"""How large etcd was at earlier times."""

from msgspec import Struct

from k8sdiag.model import Fact


class SizeSample(Struct, frozen=True, kw_only=True):
    at: float  # seconds since the epoch
    db_bytes: int  # free pages included
    in_use_bytes: int | None = None  # None: the API server told the size, which knows only that


class EtcdHistory(Fact, frozen=True, kw_only=True):
    """Sizes of each member, the oldest first and the present one last.

    By "etcd/NAME" as reports call it, or by the host that serves the member's metrics.
    """

    sizes: dict[str, tuple[SizeSample, ...]]
