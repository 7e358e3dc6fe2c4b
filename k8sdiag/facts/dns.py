"""What kubelets write into the resolv.conf of pods, beside what the pods themselves ask for."""

from k8sdiag.model import Fact


class ClusterDNS(Fact, frozen=True, kw_only=True):
    """The kubelets' clusterDomain and clusterDNS; "" and () are unknown, not empty."""

    domain: str = ""  # "cluster.local"
    servers: tuple[str, ...] = ()  # the addresses that pods ask
    configured: bool = False  # servers are the kubelets' own setting, not the Service's address


class NodeResolvConf(Fact, frozen=True, kw_only=True):
    """The file of one node that its kubelet's resolvConf names, as the kubelet reads it."""

    node: str
    path: str  # "": the kubelet is told to take none
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # "ndots:2", "rotate"
