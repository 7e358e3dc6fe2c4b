"""One member's answers, joined: Status, where it gave one, and /metrics, where it did."""

import re
from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from k8sdiag.facts.etcd import DEFAULT_QUOTA_BYTES, NO_QUOTA, EtcdAlarm, EtcdMember
from k8sdiag.model import Unavailable
from k8sdiag.readers.exposition import samples

NAMES = (
    "etcd_debugging_server_alarms",
    "etcd_disk_defrag_inflight",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_server_has_leader",
    "etcd_server_id",
    "etcd_server_is_leader",
    "etcd_server_is_learner",
    "etcd_server_quota_backend_bytes",
    "etcd_server_version",
)
# The text form of etcd's AlarmMember; newer protobuf libraries vary the blanks in it.
_ALARM = re.compile(r"(?:memberID:\s*(\d+)\s+)?alarm:\s*(\w+)")


class Labeled(Protocol):
    """A sample of the exposition format, or of an answer of Prometheus."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def value(self) -> float: ...


class Page(Struct, frozen=True):
    """What one /metrics page says of its member."""

    server_id: str = ""
    version: str = ""
    values: dict[str, float] = {}
    alarms: tuple[EtcdAlarm, ...] = ()

    def bytes_of(self, name: str) -> int | None:
        value = self.values.get(name)
        return None if value is None else int(value)


def read_page(page: bytes) -> Page:
    """Raises Unavailable for a page that is not etcd's."""
    try:
        return of_samples(samples(page, *NAMES))
    except ValueError as error:
        raise Unavailable(f"/metrics: not a Prometheus page: {error}") from error


def of_samples(samples: Iterable[Labeled]) -> Page:
    """The page of one member. Raises Unavailable when no etcd can have served it."""
    found = list(samples)
    labels = {s.name: s.labels for s in found}
    values = {s.name: s.value for s in found}
    if "etcd_mvcc_db_total_size_in_bytes" not in values:
        raise Unavailable("/metrics: no etcd serves it")
    return Page(
        server_id=labels.get("etcd_server_id", {}).get("server_id", ""),
        version=labels.get("etcd_server_version", {}).get("server_version", ""),
        values=values,
        alarms=tuple(
            EtcdAlarm(kind=s.labels.get("alarm_type", ""), member_id=s.labels.get("server_id", ""))
            for s in found
            if s.name == "etcd_debugging_server_alarms" and s.value > 0
        ),
    )


def quota(status: Any | None, page: Page | None) -> tuple[int, str, bool]:
    """(bytes, where it came from, whether it is only assumed).

    Status tells it from 3.6 on; 0 stands there for the default in 3.6.0 to 3.6.5. A quota below
    zero is one that is switched off.
    """
    told = status.dbSizeQuota if status is not None else 0
    if told:
        return (told, "Status", False) if told > 0 else (NO_QUOTA, "Status", False)
    metric = page.bytes_of("etcd_server_quota_backend_bytes") if page is not None else None
    if metric:
        return (metric, "/metrics", False) if metric > 0 else (NO_QUOTA, "/metrics", False)
    if status is not None and status.storageVersion:  # 3.6 on: it did tell
        return DEFAULT_QUOTA_BYTES, "Status: unset, so etcd's default of 2 GiB", False
    return DEFAULT_QUOTA_BYTES, "neither Status nor /metrics tells it", True


def member(url: str, name: str, status: Any | None, page: Page | None) -> EtcdMember:
    """What a member says; at least one of `status` and `page` is there."""
    quota_bytes, source, assumed = quota(status, page)
    if status is None:
        return _by_metrics(url, name, page or Page(), (quota_bytes, source, assumed))
    return EtcdMember(
        id=f"{status.header.member_id:x}",
        cluster_id=f"{status.header.cluster_id:x}",
        name=name,
        endpoint=url,
        version=status.version,
        db_bytes=status.dbSize,
        in_use_bytes=status.dbSizeInUse or status.dbSize,  # before 3.4 not told: no free space
        quota_bytes=quota_bytes,
        quota_source=source,
        quota_assumed=assumed,
        leading=status.leader == status.header.member_id,
        has_leader=status.leader != 0,
        learner=status.isLearner,
        alarms=tuple(sorted(_alarms(status.errors))),
        revision=status.header.revision,
        raft_index=status.raftIndex,
        raft_applied_index=status.raftAppliedIndex,
    )


def _by_metrics(url: str, name: str, page: Page, quota: tuple[int, str, bool]) -> EtcdMember:
    """A member that keeps Status to itself, is busy with a defrag, or can't be reached."""
    tells_alarms = [int(part) for part in re.findall(r"\d+", page.version)[:2]] >= [3, 6]
    values = page.values
    quota_bytes, source, assumed = quota
    return EtcdMember(
        id=page.server_id,
        name=name,
        endpoint=url,
        version=page.version,
        db_bytes=page.bytes_of("etcd_mvcc_db_total_size_in_bytes") or 0,
        in_use_bytes=page.bytes_of("etcd_mvcc_db_total_size_in_use_in_bytes") or 0,
        quota_bytes=quota_bytes,
        quota_source=source,
        quota_assumed=assumed,
        leading=values.get("etcd_server_is_leader") == 1,
        has_leader=values.get("etcd_server_has_leader", 1) == 1,
        learner=values.get("etcd_server_is_learner") == 1,
        defragmenting=values.get("etcd_disk_defrag_inflight") == 1,
        alarms=page.alarms if tells_alarms else None,
    )


def _alarms(errors: list[str]) -> list[EtcdAlarm]:
    found = (match for text in errors for match in _ALARM.finditer(text))
    return [EtcdAlarm(kind=m[2], member_id=f"{int(m[1] or 0):x}") for m in found]
