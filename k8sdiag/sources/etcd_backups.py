"""Evidence of backups of etcd that the API holds: CronJobs that make them, snapshots of k3s."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from k8sdiag.facts.etcd import EtcdBackup, EtcdBackups
from k8sdiag.model import Permission
from k8sdiag.readers.kubernetes import Kubernetes, NotFound

CRONJOBS = Permission(resource="cronjobs", group="batch")
SNAPSHOTS = Permission(resource="etcdsnapshotfiles", group="k3s.cattle.io")
PERMISSIONS = (CRONJOBS, SNAPSHOTS)


class _Metadata(Struct, frozen=True):
    name: str
    namespace: str = ""


class _JobStatus(Struct, frozen=True, rename="camel"):
    last_successful_time: datetime | None = None


class _CronJob(Struct, frozen=True):
    metadata: _Metadata
    status: _JobStatus = _JobStatus()


class _SnapshotStatus(Struct, frozen=True, rename="camel"):
    creation_time: datetime | None = None
    ready_to_use: bool = False


class _Snapshot(Struct, frozen=True):
    status: _SnapshotStatus = _SnapshotStatus()


def collect(reader: Kubernetes) -> EtcdBackups:
    """Raises Unavailable when they can't be listed."""
    now = datetime.now(UTC)
    found = list(_cronjobs(reader, now))
    if "+k3s" in reader.server or "+rke2" in reader.server:  # else there is no such resource
        found += _snapshots(reader, now)
    return EtcdBackups(backups=tuple(found), provenance="CronJobs and k3s' snapshots of the API")


def makes_backups(name: str) -> bool:
    """Whether a CronJob of this name is for backups of etcd."""
    return "etcd" in name and bool(re.search(r"backup|snapshot", name))


def _cronjobs(reader: Kubernetes, now: datetime) -> Iterator[EtcdBackup]:
    for page in reader.pages("/apis/batch/v1/cronjobs", _CronJob, CRONJOBS):
        for job in page:
            if makes_backups(job.metadata.name):
                yield EtcdBackup(
                    subject=f"cronjob/{job.metadata.namespace}/{job.metadata.name}",
                    age_seconds=_age(job.status.last_successful_time, now),
                )


def _snapshots(reader: Kubernetes, now: datetime) -> Iterator[EtcdBackup]:
    """The newest that can be used; nothing where an older k3s has no such resource."""
    path = "/apis/k3s.cattle.io/v1/etcdsnapshotfiles"
    try:
        found = [s.status for page in reader.pages(path, _Snapshot, SNAPSHOTS) for s in page]
    except NotFound:
        return
    made = [s.creation_time for s in found if s.ready_to_use and s.creation_time]
    if found:
        yield EtcdBackup(subject="k3s snapshots", age_seconds=_age(max(made, default=None), now))


def _age(made: datetime | None, now: datetime) -> float | None:
    return (now - made).total_seconds() if made else None
