"""The container runtime's settings that decide how a node pulls images."""

from msgspec import Struct

from k8sdiag.model import Fact


class Unused(Struct, frozen=True):
    """A setting that somebody wrote down and that has no effect."""

    setting: str  # "max_concurrent_downloads"
    value: str
    where: str  # a file, and the table in it
    why: str  # "table": not read; "local": pulls are local; "replaced": by a later file's table
    because: str = ""  # the same in words


class Runtime(Struct, frozen=True, kw_only=True):
    """None is unknown. What nobody set holds the default of the version; `sources` says so."""

    name: str  # "containerd", "cri-o" or "docker" (with cri-dockerd before it)
    version: str = ""  # "2.3.7"; of docker, that of cri-dockerd; "": unknown
    max_concurrent_downloads: int | None = None  # layers; 0: no bound
    downloads_per: str = ""  # what that bounds: one "image" or all pulls of the "node"
    progress_timeout_seconds: float | None = None  # without a byte, then cancelled; 0: never
    pull_deadline_seconds: float = 0.0  # for a whole pull; 0: none
    # containerd from 2.1 on: whether its CRI part pulls, as before, and not its transfer service.
    local_pulls: bool | None = None
    local_because: tuple[str, ...] = ()  # the settings that make it so
    layer_fetch_buffer_bytes: int | None = None  # of parts of a layer fetched at once; 0: whole
    max_concurrent_unpacks: int | None = None
    discard_unpacked_layers: bool | None = None
    snapshotter: str | None = None
    config_path: str | None = None  # folders with a hosts.toml for each registry, ":" between
    sources: dict[str, str] = {}  # field -> a file, a flag or "default"
    unused: tuple[Unused, ...] = ()
    unread_hosts: tuple[str, ...] = ()  # registries whose hosts.toml no config_path leads to


class HostRuntime(Fact, frozen=True, kw_only=True):
    """This host's container runtime. None of them is a fact too."""

    node: str
    runtime: Runtime | None = None
    unseen: dict[str, str] = {}  # as `gaps`, but of no matter where the host is no node
