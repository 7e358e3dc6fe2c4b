"""What the API server alone tells of etcd: the size; the quota must be known or assumed."""

from collections.abc import Iterator

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks._etcd_runbook import WHO_FILLS_IT
from k8sdiag.facts.etcd import DEFAULT_QUOTA_BYTES, EtcdSeenByAPIServer
from k8sdiag.model import Finding, Metric, Remedy, Said, Severity, Usage

GIB = 1 << 30


def judge(seen: EtcdSeenByAPIServer, limits: EtcdQuota) -> Iterator[Said]:
    for name, size in sorted(seen.db_bytes.items()):
        quota, told_by = _quota(seen.server, size, limits)
        yield Metric(
            name="etcd_db_size_bytes",
            help="Size of the member's database, free pages too.",
            value=size,
            labels={"endpoint": name},
        )
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
        managed = told_by.startswith("of ")
        # An assumed quota is no ground for an alarm in the night.
        critical = managed and size >= limits.critical * quota
        yield Finding(
            code="near-quota" if managed else "near-assumed-quota",
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            subject=f"etcd/{name}",
            message=f"etcd holds {size / GIB:.2f} GiB, {size / quota:.0%} of the quota {told_by}",
            observed=size,
            limit=quota,
            remedy=Remedy(
                summary="find what fills it and delete it"
                + ("" if managed else "; give --etcd-endpoints to see the true quota"),
                commands=(WHO_FILLS_IT,),
            ),
        )


def _quota(server: str, size: int, limits: EtcdQuota) -> tuple[int, str]:
    """(bytes, whose it is). Providers put their mark into the server's version."""
    if "-eks-" in server:
        return limits.eks_quota_bytes, "of Amazon EKS"
    if "-gke." in server:
        return limits.gke_quota_bytes, "of Google GKE"
    if size < DEFAULT_QUOTA_BYTES:
        return DEFAULT_QUOTA_BYTES, "assumed: etcd's default of 2 GiB"
    # Past the default the quota has been raised; how far nobody says.
    return limits.largest_quota_bytes, "unknown: the most that etcd suggests"
