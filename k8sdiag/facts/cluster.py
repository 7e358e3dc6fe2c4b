"""What the cluster as a whole is made of, beside nodes and pods."""

from msgspec import Struct

from k8sdiag.model import Fact


class Services(Fact, frozen=True, kw_only=True):
    """Services, by namespace, and the addresses they take."""

    by_namespace: dict[str, int]
    cluster_ips: dict[str, int] = {}  # family ("ipv4", "ipv6") -> addresses in use
    ranges: tuple[str, ...] = ()  # the service CIDRs; empty: the server does not tell

    @property
    def total(self) -> int:
        return sum(self.by_namespace.values())

    def scale(self) -> dict[str, float]:
        return {"services": float(self.total)}


class Backends(Struct, frozen=True, kw_only=True):
    """How many endpoints a Service has, ready or not, of the address family with more of them."""

    subject: str  # "service/NAMESPACE/NAME"
    endpoints: int
    headless: bool = False


class ServiceEndpoints(Fact, frozen=True, kw_only=True):
    """The Services with the most endpoints, the largest first, and how many slices hold all."""

    largest: tuple[Backends, ...]
    slices: int


class ControlPlane(Fact, frozen=True, kw_only=True):
    """The control plane's pods, where the cluster runs them itself (kubeadm and its kin)."""

    api_servers: int
    cluster_cidrs: tuple[str, ...] = ()  # of kube-controller-manager; empty: it is not told
    node_masks: dict[str, int] = {}  # family -> prefix length of a node's pod CIDR
    allocates: bool = False  # kube-controller-manager hands out pod CIDRs to nodes
    proxy_mode: str = ""  # of kube-proxy: "iptables", "ipvs", "nftables"; "": unknown
