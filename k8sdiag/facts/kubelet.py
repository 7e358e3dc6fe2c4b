"""The kubelets' settings that decide how a node pulls images, and where its DNS stands."""

from msgspec import Struct

from k8sdiag.model import Fact


class KubeletSettings(Struct, frozen=True, kw_only=True):
    """None is unknown. What nobody set holds the kubelet's default, and `sources` says so."""

    serialize_image_pulls: bool | None = None
    max_parallel_image_pulls: int | None = None  # 0: no bound, the kubelet's nil
    registry_pull_qps: int | None = None  # pulls started a second; 0: no limit
    registry_burst: int | None = None
    node_status_max_images: int | None = None  # -1: no cap
    image_gc_high_threshold_percent: int | None = None  # of the images' disk; 100: never
    # Of a flag that kubelets from 1.24 on do not know; None: not given, or unknown.
    image_pull_progress_deadline_seconds: float | None = None
    resolv_conf: str | None = None  # the node's file that pods' own are made from; "": none
    sources: dict[str, str] = {}  # field -> "--registry-qps", a file, "/configz" or "default"

    @property
    def slots(self) -> float | None:
        """How many images are pulled at once; infinity is no bound, None is unknown."""
        if self.serialize_image_pulls is None:
            return None
        if self.serialize_image_pulls:
            return 1.0
        if self.max_parallel_image_pulls is None:
            return None
        return float(self.max_parallel_image_pulls or "inf")


class Kubelet(Struct, frozen=True, kw_only=True):
    """One node's kubelet, which may stand for the others of its pool and version."""

    node: str
    pool: str = ""
    version: str = ""  # "v1.36.3"
    settings: KubeletSettings


class KubeletConfigs(Fact, frozen=True, kw_only=True):
    """What some kubelets say of themselves: a few of each (pool, version), not all."""

    kubelets: tuple[Kubelet, ...]


class HostKubelet(Fact, frozen=True, kw_only=True):
    """This host's kubelet. A host that is no node is a fact too: nothing runs, no settings."""

    node: str  # the name that it registers its node under
    running: bool | None  # None: this host's processes could not be seen, see `unseen`
    unseen: str = ""
    settings: KubeletSettings | None = None  # None: there is neither a process nor a file of one
