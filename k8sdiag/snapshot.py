"""Snapshot <-> file: gzip-compressed JSON of facts and of the reasons for missing ones."""

import gzip
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from k8sdiag import files
from k8sdiag.model import ConfigError, Cost, Fact, Missing, Snapshot
from k8sdiag.version import VERSION

API_VERSION = "k8sdiag.io/v1alpha1"


class SnapshotError(ConfigError):
    """A file is not a snapshot that this version can read; the message says which and why."""


class _File(Struct, kw_only=True, rename="camel"):
    api_version: str
    kind: str
    version: str = ""
    cluster: str
    taken_at: datetime
    facts: dict[str, Raw] = {}
    missing: dict[str, Missing] = {}
    seconds: dict[str, float] = {}
    cost: Cost = Cost()
    lab: str = ""


class _Header(Struct, rename="camel"):
    """What can be read of any version's file."""

    api_version: str = ""
    kind: str = ""
    version: str = ""


def save(snapshot: Snapshot, path: Path) -> None:
    """Write the file whole or not at all.

    Readable by its owner only: it names every workload, image and node of the cluster.
    """
    raw = {name: Raw(msgspec.json.encode(fact)) for name, fact in snapshot.facts.items()}
    fields = {
        f: getattr(snapshot, f)
        for f in ("cluster", "taken_at", "missing", "seconds", "cost", "lab")
    }
    file = _File(api_version=API_VERSION, kind="Snapshot", version=VERSION, facts=raw, **fields)
    # mtime=0: the same snapshot is the same bytes.
    files.write(path, gzip.compress(msgspec.json.encode(file), mtime=0), mode=0o600)


def load(path: Path, types: dict[str, type[Fact]]) -> Snapshot:
    """Read a snapshot; `types` are the facts that this installation knows, by name.

    Raises SnapshotError for a file that is none, is cut off or comes from a newer version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise SnapshotError(
            f"{path}: the file is cut off or damaged ({error}); take it again"
        ) from error
    try:
        header = msgspec.json.decode(text, type=_Header)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{path}: not a snapshot of k8sdiag: {error}") from error
    if header.kind != "Snapshot":
        raise SnapshotError(f"{path}: not a snapshot of k8sdiag (its kind is {header.kind!r})")
    if header.api_version != API_VERSION:
        raise SnapshotError(
            f"{path}: written by k8sdiag {header.version or '?'} as {header.api_version}; "
            f"this is {VERSION}, which reads {API_VERSION}: upgrade, or take the snapshot again"
        )
    facts: dict[str, Any] = {}
    unknown = f"not in this snapshot, taken by k8sdiag {header.version or '?'}: take it again"
    try:
        file = msgspec.json.decode(text, type=_File)
        missing = {name: Missing(reason=unknown) for name in types.keys() - file.facts.keys()}
        missing |= file.missing
        for name, raw in file.facts.items():
            if name in types:
                facts[name] = msgspec.json.decode(raw, type=types[name])
            else:
                missing[name] = Missing(reason=f"{name} comes from a plugin that is not installed")
    except msgspec.DecodeError as error:
        raise SnapshotError(
            f"{path}: written by k8sdiag {header.version or '?'}, and this is {VERSION}: {error}"
        ) from error
    return Snapshot(
        cluster=file.cluster,
        taken_at=file.taken_at,
        facts=facts,
        missing=missing,
        seconds=file.seconds,
        cost=file.cost,
        lab=file.lab,
    )
