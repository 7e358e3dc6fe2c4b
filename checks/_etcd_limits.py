"""The numbers of the check etcd-quota."""

from k8sdiag.model import Limits, Share


class EtcdQuota(Limits, frozen=True, kw_only=True):
    warning: Share = 0.75  # of the quota; as OpenShift's etcdDatabaseQuotaLowSpace
    critical: Share = 0.9  # of the quota; etcd's own mixin pages at 0.95
    freed: Share = 0.9  # of the quota; below it an armed alarm is stale (etcd-defrag's default)
    fragmented: Share = 0.5  # in use of the file; as the mixin's HighFragmentationRatio
    fragmented_from: Share = 0.5  # of the quota; below it free pages harm nobody
    fragmented_bytes: int = 104857600  # a smaller file is not worth a blocked member; the mixin's
    largest_quota_bytes: int = 8589934592  # "suggested maximum" of etcd's docs; it warns above
    entries_behind: int = 5000  # maxGapBetweenApplyAndCommitIndex: etcd refuses requests beyond
    eks_quota_bytes: int = 8000000000  # Amazon EKS: "etcd database size", standard control plane
    eks_provisioned_quota_bytes: int = 16000000000  # the same of a provisioned control plane
    gke_quota_bytes: int = 6000000000  # Google GKE: "etcd database size" of its limits
    aks_quota_bytes: int = 8000000000  # Azure AKS: 8 GB, "more than 2 GB is large"
    growth_seconds: float = 14400.0  # watched for less, growth says nothing; the mixin's [4h]
    growth_reach: float = 10.0  # times as far ahead as it was watched; our judgment
    full_days: float = 30.0  # to find what grows and stop it, or to raise a quota; our judgment
    full_critical_days: float = 2.0  # a weekend
