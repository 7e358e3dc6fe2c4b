"""What the cluster's API tells of who watches over images."""

from msgspec import Struct

from k8sdiag.model import Fact


class ImagePolicy(Struct, frozen=True):
    """One object, or one webhook, that has a say in which images run. Only what it is called."""

    kind: str  # "ClusterPolicy", "ClusterImagePolicy", "ValidatingWebhookConfiguration", ...
    name: str
    of: str  # "Kyverno", "Sigstore policy controller", "Kubernetes", ...
    verifies: bool = True  # False: it looks at images' names, not at signatures


class ImagePolicies(Fact, frozen=True, kw_only=True):
    """What the API server itself is told to ask (ImagePolicyWebhook), and nodes, is not in it."""

    policies: tuple[ImagePolicy, ...]


class Vulnerabilities(Fact, frozen=True, kw_only=True):
    """The sums of Trivy Operator's reports; one report a container of a workload."""

    installed: bool
    reports: int = 0
    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    unknown: int = 0
