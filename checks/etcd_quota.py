"""etcd's database is close to its quota, or past it.

Past the quota etcd raises the NOSPACE alarm and refuses every write but deletes: no pod, lease
or node status can be stored until space is freed on each member and the alarm is disarmed. The
member nearest to its own quota decides for all, even one that nobody writes to.
"""

from collections.abc import Iterator, Sequence

from k8sdiag.checks import _etcd_fillers, _etcd_growth, _etcd_space, _etcd_state, _etcd_unasked
from k8sdiag.checks._etcd_clusters import clusters
from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_quota_source import with_quota
from k8sdiag.checks._etcd_runbook import Etcdctl
from k8sdiag.facts.etcd import EtcdMember, EtcdMembers, EtcdPod, EtcdPods, EtcdSeenByAPIServer
from k8sdiag.facts.etcd_history import EtcdHistory
from k8sdiag.facts.etcd_objects import EtcdObjects
from k8sdiag.model import Metric, Missing, Said, Unseen, Usage


def check(
    etcd: EtcdMembers | Missing,
    seen: EtcdSeenByAPIServer | Missing,
    pods: EtcdPods | Missing,
    history: EtcdHistory | Missing,
    objects: EtcdObjects | Missing,
    limits: EtcdQuota,
) -> Iterator[Said]:
    specs = pods.etcds if isinstance(pods, EtcdPods) else ()
    told = etcd.members if isinstance(etcd, EtcdMembers) else ()
    known = [with_quota(member, specs) for member in told]
    said = list(_judge(etcd, known, seen, specs, limits))
    if isinstance(history, EtcdHistory):
        usages = [x for x in said if isinstance(x, Usage)]
        said += _etcd_growth.judge(usages, known, history, limits)
    yield from _etcd_fillers.named(said, objects)


def _judge(
    etcd: EtcdMembers | Missing,
    known: Sequence[EtcdMember],
    seen: EtcdSeenByAPIServer | Missing,
    specs: Sequence[EtcdPod],
    limits: EtcdQuota,
) -> Iterator[Said]:
    if isinstance(etcd, EtcdMembers):
        for member in known:
            if member.quota_assumed:
                reason = f"{member.quota_source}; 2 GiB is assumed"
                yield Unseen(subject=f"quota of etcd/{member.name}", reason=reason)
        if not known:
            yield Unseen(subject="etcd", reason="no member of it was seen")
        stored = clusters(known)
        for members in stored:
            etcdctl = Etcdctl(members, etcd.etcdctl_flags)
            yield from _numbers(members)
            yield from _etcd_space.judge(members, etcdctl, limits, whole=not etcd.gaps)
            yield from _etcd_state.judge(members, etcdctl, limits)
        if isinstance(seen, EtcdSeenByAPIServer):
            # "etcd-0", "etcd-1"; before 1.28 it names members instead, by their URLs.
            stores = sorted(name for name in seen.db_bytes if "://" not in name)
            if len(stores) > len(stored):
                reason = f"the API server uses {', '.join(stores)}: give the endpoints of all"
                yield Unseen(subject="another etcd", reason=reason)
    elif isinstance(seen, EtcdSeenByAPIServer):
        yield Unseen(subject="etcd", reason=etcd.reason)
        yield from _etcd_unasked.judge(seen, specs, limits)
    else:  # what pods and history tell is no size
        yield Unseen(subject="etcd", reason=f"{etcd.reason}; {seen.reason}")


def _numbers(members: Sequence[EtcdMember]) -> Iterator[Said]:
    for m in members:
        if m.quota_bytes > 0:  # one that is switched off is no limit; a finding says so
            yield Usage(
                limit_id="etcd-db-size",
                subject=f"etcd/{m.name}",
                used=m.db_bytes,
                limit=m.quota_bytes,
                unit="bytes",
                driver="nodes",
                fixed=m.db_bytes - m.in_use_bytes,  # free pages do not multiply with the cluster
                source=f"size by {m.endpoint}; quota from {m.quota_source}",
            )
        where = {"endpoint": m.endpoint}
        for name, text, value in (
            ("etcd_db_size_bytes", "Size of the member's database, free pages too.", m.db_bytes),
            ("etcd_db_size_in_use_bytes", "What of it is in use.", m.in_use_bytes),
            ("etcd_quota_bytes", "Size that raises NOSPACE; below zero: none.", m.quota_bytes),
        ):
            yield Metric(name=name, help=text, value=value, labels=where)
        if m.alarms is not None:
            raised = {alarm.kind for alarm in m.alarms}
            for kind in sorted({"CORRUPT", "NOSPACE"} | raised):
                yield Metric(
                    name="etcd_alarm_active",
                    help="Whether the member knows of this alarm in its cluster.",
                    value=kind in raised,
                    labels={**where, "alarm": kind},
                )
