"""containerd's configuration files, merged and migrated as its releases do it.

From LoadConfig, mergeConfig and MigrateConfig (services/server/config in containerd 1,
cmd/containerd/server/config in 2) and migrateConfig of plugins/cri/images.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from k8sdiag.pulls.runtimes import Release

CRI_1, CRI_2 = "cri", "io.containerd.grpc.v1.cri"  # of files of version 1, and of version 2
IMAGES = "io.containerd.cri.v1.images"  # from version 3 on
TRANSFER = "io.containerd.transfer.v1.local"

# What the old tables have too. The second kind lies in their table "containerd", and a migration
# takes that over only where some runtime is set in it.
_OLD = ("max_concurrent_downloads", "image_pull_progress_timeout", "image_pull_with_sync_fs")
_SNAPSHOTS = ("snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers")
_REGISTRY = ("mirrors", "configs", "auths")
_KEYS = {
    CRI_1: _OLD,
    CRI_2: _OLD,
    IMAGES: (*_OLD, "concurrent_layer_fetch_buffer", "use_local_image_pull"),
    TRANSFER: (
        "max_concurrent_downloads",
        "concurrent_layer_fetch_buffer",
        "max_concurrent_unpacks",
    ),
}
_SINCE = {
    "image_pull_progress_timeout": (1, 7, 0),
    "concurrent_layer_fetch_buffer": (2, 1, 0),
    "max_concurrent_unpacks": (2, 2, 0),
}


class File(Struct, frozen=True):
    """One of the files, as TOML; they are given in the order in which containerd loads them."""

    path: str
    values: Mapping[str, Any]

    @property
    def version(self) -> int:
        version = self.values.get("version", 0)
        return version if isinstance(version, int) else 0

    def table(self, name: str) -> Mapping[str, Any]:
        return _table(_table(self.values, "plugins"), name)


class Set(Struct, frozen=True):
    """A setting as somebody wrote it down; of registries and their logins only how many."""

    value: Any
    path: str
    table: str


Found = dict[str, Set]


class Lost(Struct, frozen=True):
    """A setting that somebody wrote down and that containerd does not take."""

    key: str
    written: Set
    why: str
    because: str


class Merged(Struct, frozen=True):
    images: Found  # what the CRI part takes
    transfer: Found  # what the transfer service takes
    lost: list[Lost]


def merged(files: Sequence[File], release: Release) -> Merged:
    """What this release takes of the files, and what not."""
    if release < (2, 0, 0):
        found = _replaced(files)
    else:
        found = _each_migrated(files) if release >= (2, 3, 0) else _all_migrated(files)
    for key, since in _SINCE.items():
        for table in (found.images, found.transfer):
            if release < since and key in table:
                because = f"containerd has it from {since[0]}.{since[1]} on"
                found.lost.append(Lost(key, table.pop(key), "table", because))
    return found


def _replaced(files: Sequence[File]) -> Merged:
    """containerd 1: a table of a later file takes the place of the whole table."""
    version = 1
    for file in files:
        version = file.version or version
    name = CRI_1 if version == 1 else CRI_2
    found: Found = {}
    lost: list[Lost] = []
    for file in files:
        if file.table(name):
            mine = _settings(file, name)
            because = f"the table {quoted(name)} of {file.path} takes the place of that whole table"
            lost += _lost({k: s for k, s in found.items() if k not in mine}, "replaced", because)
            found = mine
        because = f"containerd 1 reads {quoted(name)} of files of version {version}"
        for other in {CRI_1, CRI_2, IMAGES} - {name}:
            lost += _lost(_settings(file, other), "table", because)
    return Merged(found, _of_all(files, TRANSFER), lost)


def _all_migrated(files: Sequence[File]) -> Merged:
    """containerd 2.0 to 2.2: merged key by key, then migrated if the last version is 2."""
    version = 3
    old: Found = {}
    runtimes = False
    for file in files:
        version = file.version if file.version > 1 else version
        mine, some = _old_settings(file)
        old |= mine
        runtimes = runtimes or some
    images, lost = _of_all(files, IMAGES), list[Lost]()
    if version < 3:
        images = _migrated(images, old, runtimes, lost)
    else:
        because = f"containerd reads {quoted(IMAGES)} where the last version of its files is 3"
        lost += _lost(old, "table", because)
    return Merged(images, _of_all(files, TRANSFER), lost)


def _each_migrated(files: Sequence[File]) -> Merged:
    """containerd 2.3: each file is migrated to version 4, then they are merged key by key."""
    images: Found = {}
    lost: list[Lost] = []
    for file in files:
        old, runtimes = _old_settings(file)
        if file.version < 4:
            images |= _migrated(_settings(file, IMAGES), old, runtimes, lost)
        else:
            images |= _settings(file, IMAGES)
            because = f"containerd reads {quoted(IMAGES)} of files of version {file.version}"
            lost += _lost(old, "table", because)
    return Merged(images, _of_all(files, TRANSFER), lost)


def _old_settings(file: File) -> tuple[Found, bool]:
    """What the tables of before version 3 say, and whether they set runtimes."""
    names = [CRI_1, CRI_2] if file.version < 2 else [CRI_2]
    found: Found = {}
    for name in names:
        found |= _settings(file, name)
    return found, any("runtimes" in _table(file.table(name), "containerd") for name in names)


def _migrated(images: Found, old: Found, runtimes: bool, lost: list[Lost]) -> Found:
    """The old table's settings come over those of the new one; its registries whole."""
    taken = {k: s for k, s in old.items() if k not in _SNAPSHOTS or runtimes}
    because = "containerd's migration of old tables leaves it behind unless a runtime is set there"
    lost += _lost({k: s for k, s in old.items() if k not in taken}, "table", because)
    if any(k.startswith("registry.") for k in taken):
        images = {k: s for k, s in images.items() if not k.startswith("registry.")}
    return images | taken


def _of_all(files: Iterable[File], name: str) -> Found:
    found: Found = {}
    for file in files:
        found |= _settings(file, name)
    return found


def _settings(file: File, name: str) -> Found:
    """What a file sets in one table."""
    table = file.table(name)
    snapshots = _table(table, "containerd") if name in (CRI_1, CRI_2) else table
    registry = _table(table, "registry")
    found = {k: table[k] for k in _KEYS[name] if k in table}
    found |= {k: snapshots[k] for k in _SNAPSHOTS if k in snapshots}
    found |= {f"registry.{k}": len(_table(registry, k)) for k in _REGISTRY if k in registry}
    if "config_path" in registry:
        found["registry.config_path"] = registry["config_path"]
    return {key: Set(value, file.path, name) for key, value in found.items()}


def _lost(found: Found, why: str, because: str) -> list[Lost]:
    return [Lost(key, written, why, because) for key, written in found.items()]


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def quoted(name: str) -> str:
    return f"[plugins.'{name}']" if "." in name else f"[plugins.{name}]"
