"""What the API server alone tells of etcd: the size; the quota comes from elsewhere."""

from collections.abc import Iterator, Sequence

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_quota_source import unasked
from k8sdiag.checks._etcd_runbook import WHO_FILLS_IT
from k8sdiag.facts.etcd import EtcdPod, EtcdSeenByAPIServer
from k8sdiag.model import Finding, Metric, Remedy, Said, Severity, Usage

GIB = 1 << 30


def judge(seen: EtcdSeenByAPIServer, pods: Sequence[EtcdPod], limits: EtcdQuota) -> Iterator[Said]:
    for name, size in sorted(seen.db_bytes.items()):
        quota, told_by, assumed = unasked(seen, name, pods, limits)
        yield Metric(
            name="etcd_db_size_bytes",
            help="Size of the member's database, free pages too.",
            value=size,
            labels={"endpoint": name},
        )
        if quota <= 0:
            yield Finding(
                code="quota-disabled",
                severity=Severity.WARNING,
                subject=f"etcd/{name}",
                message=f"the quota is switched off {told_by}: only a full disk stops the "
                f"database, now {size / GIB:.1f} GiB",
                remedy=Remedy(
                    summary=f"set --quota-backend-bytes={limits.largest_quota_bytes} on every "
                    "member and restart them one by one: it is read at the start"
                ),
            )
            continue
        yield Usage(
            limit_id="etcd-db-size",
            subject=f"etcd/{name}",
            used=size,
            limit=quota,
            unit="bytes",
            driver="nodes",
            source=f"size from the API server's /metrics; quota {told_by}",
        )
        if size < limits.warning * quota:
            continue
        # An assumed quota is no ground for an alarm in the night.
        critical = not assumed and size >= limits.critical * quota
        yield Finding(
            code="near-assumed-quota" if assumed else "near-quota",
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            subject=f"etcd/{name}",
            message=f"etcd holds {size / GIB:.2f} GiB, {size / quota:.0%} of the quota {told_by}",
            observed=size,
            limit=quota,
            remedy=Remedy(
                summary="find what fills it and delete it"
                + ("; give --etcd-endpoints to see the true quota" if assumed else ""),
                commands=(WHO_FILLS_IT,),
            ),
        )
