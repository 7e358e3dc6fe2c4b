"""The numbers of dns-capacity, and where each comes from."""

from typing import Annotated

from msgspec import Meta

from k8sdiag.model import Limits, Share

_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]


class DnsCapacity(Limits, frozen=True, kw_only=True):
    # Parameters of Kubernetes' own addon, dns-horizontal-autoscaler, and of the EKS add-on.
    nodes_per_replica: _Positive = 16
    cores_per_replica: _Positive = 256
    # From here on two replicas, which kubeadm makes and EKS without its autoscaler, are a risk.
    large_nodes: _Count = 100
    # Up to here one replica is a choice, as in k3s.
    few_nodes: _Count = 5
    # A provider states it for its managed replicas; coredns/deployment measured up to 17,000 a
    # core in 2018.
    queries_per_replica: _Positive = 5000.0
    busy_ratio: Share = 0.8
    # Assumed of every pod where no metrics are read. With 8 queries a lookup and 30 pods a node it
    # is what the autoscaler's 16 nodes a replica make room for.
    lookups_per_pod: _Positive = 1.0
    # Memory by coredns/deployment: (pods + services) / 1000 + 54 MB, with autopath / 250 + 56.
    memory_ratio: Share = 0.9
    memory_critical: Share = 0.97  # of what is measured; the kernel kills at 1
    # A pure walk of three search domains is 75 % NXDOMAIN.
    nxdomain_ratio: Share = 0.7
    nxdomain_queries: _Positive = 1000.0  # a second; below them waste hurts nobody
    # The alerts of coredns-mixin.
    servfail_ratio: Share = 0.01
    servfail_critical: Share = 0.03
    refused_ratio: Share = 0.01
    # SIG Scalability's DNS test asks for 100 ms; coredns-mixin alerts at 4 s.
    p99_seconds: _Positive = 0.1
    # Where it is the time of servers outside: a fifth of what resolvers wait (resolv.conf(5)).
    p99_forwarded: _Positive = 1.0
    p99_critical: _Positive = 4.0
    least_responses: _Count = 100  # in the window; of fewer no share is judged
    # AWS: each network interface to the VPC's resolver.
    packets_per_interface: _Positive = 1024.0
    # 100 at once are 1,000 a second where an upstream answers within 100 ms.
    least_concurrent: _Count = 100
    # Nodes restart: so many of the ready ones must have NodeLocal DNSCache.
    node_local_ratio: Share = 0.95
