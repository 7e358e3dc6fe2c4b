"""etcd's members are slow, disagree, or are set up for a smaller cluster.

etcd is as slow as the disks of its majority: each write waits for an fsync of the log. A slow
disk or a wandering clock shows as leader changes, timeouts and expired leases long before the
database is full.
"""

from collections.abc import Iterator

from k8sdiag.checks import _etcd_agreement, _etcd_pace, _etcd_scale
from k8sdiag.checks._etcd_clusters import clusters
from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks._etcd_runbook import Etcdctl
from k8sdiag.facts.etcd import (
    EtcdBackups,
    EtcdMembers,
    EtcdPerformance,
    EtcdPods,
    EtcdSeenByAPIServer,
)
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Metric, Missing, Remedy, Said, Severity, Unseen

DAY = 86400.0


def check(
    etcd: EtcdMembers | Missing,
    performance: EtcdPerformance | Missing,
    pods: EtcdPods | Missing,
    seen: EtcdSeenByAPIServer | Missing,
    nodes: Nodes | Missing,
    backups: EtcdBackups | Missing,
    limits: EtcdHealth,
) -> Iterator[Said]:
    if isinstance(etcd, Missing):
        yield Unseen(subject="etcd", reason=etcd.reason)
    elif not etcd.members:
        yield Unseen(subject="etcd", reason="no member of it was seen")
    else:
        for members in clusters(etcd.members):
            yield from _etcd_agreement.judge(members, Etcdctl(members, etcd.etcdctl_flags), limits)
    if isinstance(performance, EtcdPerformance):
        yield from _etcd_pace.judge(performance.members, limits)
        yield from _etcd_pace.unwatched(performance, etcd)
    elif isinstance(etcd, EtcdMembers):
        yield Unseen(subject="speed of etcd", reason=performance.reason)
    if isinstance(nodes, Nodes):
        yield from _etcd_scale.judge(len(nodes.nodes), etcd, pods, seen, limits)
    elif nodes.asked and isinstance(etcd, EtcdMembers):
        yield Unseen(subject="whether etcd is set up for this many nodes", reason=nodes.reason)
    yield from _backups(backups, performance, limits, _save(etcd))


def _save(etcd: EtcdMembers | Missing) -> tuple[str, ...]:
    if isinstance(etcd, Missing):
        return ("etcdctl snapshot save etcd-$(date +%F).db",)
    return tuple(Etcdctl(m, etcd.etcdctl_flags).save() for m in clusters(etcd.members))


def _backups(
    backups: EtcdBackups | Missing,
    performance: EtcdPerformance | Missing,
    limits: EtcdHealth,
    save: tuple[str, ...],
) -> Iterator[Said]:
    """No evidence is not "no backup": most are made where nobody here can see them."""
    made = backups.backups if isinstance(backups, EtcdBackups) else ()
    ages = [b.age_seconds for b in made if b.age_seconds is not None]
    watched = performance.members if isinstance(performance, EtcdPerformance) else ()
    if ages:
        yield Metric(
            name="etcd_backup_age_seconds",
            help="Age of the newest backup of etcd that the cluster knows of.",
            value=min(ages),
        )
    if made and min(ages, default=limits.backup_age_seconds + 1) > limits.backup_age_seconds:
        names = ", ".join(b.subject for b in made)
        last = f"{min(ages) / DAY:.0f} days ago" if ages else "never"
        yield Finding(
            code="backup-old",
            severity=Severity.WARNING,
            subject="etcd",
            message=f"{names} made its last backup of etcd {last}",
            observed=min(ages, default=None),
            limit=limits.backup_age_seconds,
            remedy=Remedy(
                summary="look why it fails, and take a snapshot now; it streams the whole "
                "database from one member and writes nothing to etcd",
                commands=save,
            ),
        )
    elif limits.backup_required and not ages and not any(m.snapshots for m in watched):
        yield Unseen(subject="backups", reason="nothing here shows that etcd is backed up")
