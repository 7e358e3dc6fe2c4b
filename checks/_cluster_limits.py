"""The numbers of the check cluster-size."""

from k8sdiag.model import Limits


class ClusterSize(Limits, frozen=True, kw_only=True):
    warning: float = 0.8  # of each threshold, as Google's scalability policy for GKE has it
    # kubernetes.io, "Considerations for large clusters", for this and the next three.
    nodes: int = 5000
    pods: int = 150000
    containers: int = 300000
    pods_per_node: int = 110
    # kubernetes/community, sig-scalability/configs-and-limits/thresholds.md, for the rest.
    pods_per_core: int = 10
    pods_per_namespace: int = 3000
    namespaces: int = 10000
    services: int = 10000
    services_per_namespace: int = 5000
    endpoints_per_service: int = 250  # headless Services apart: kube-proxy leaves them alone
    objects_of_a_type: int = 150000  # built-in types
    bytes_of_a_type: int = 1500000000
    events: int = 1000000
    gke_pods: int = 200000  # cloud.google.com, GKE "Quotas and limits", Standard clusters
    gke_containers: int = 400000
    # With 5,000 Services iptables mode is measurably slower: the Kubernetes blog on nftables mode.
    iptables_services: int = 5000
    # An Endpoints object holds no more: kubernetes.io, "Service", over-capacity endpoints.
    endpoints_object: int = 1000
    # (more nodes than this, CPUs, GB) of a control plane's machine. kubernetes.io, "Building large
    # clusters" up to Kubernetes 1.19, has them for GCE and AWS; this is the smaller of the two.
    control_plane: tuple[tuple[int, int, int], ...] = ((100, 8, 30), (250, 16, 30), (500, 32, 60))
    one_api_server_nodes: int = 100  # a judgment: with more nodes, one is too little to lose
