"""NodeLocal DNSCache: on every node, and really asked."""

from collections.abc import Iterator

from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.facts.dns import ClusterDNS
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Said, Severity, Unseen

SUBJECT = "daemonset/kube-system/node-local-dns"


def judge(
    dns: CoreDNS, nodes: Nodes | Missing, cluster: ClusterDNS | Missing, limits: DnsCapacity
) -> Iterator[Said]:
    local = dns.node_local
    if local is None:
        return
    if not isinstance(nodes, Missing):
        ready = sum(n.ready and n.os == "linux" for n in nodes.nodes)
        if local.ready < limits.node_local_ratio * ready:
            yield Finding(
                code="node-local-missing",
                severity=Severity.WARNING,
                subject=SUBJECT,
                message=f"it is ready on {local.ready:,} of {ready:,} ready Linux nodes and wants "
                f"to be on {local.desired:,}: the others ask CoreDNS, or nobody where kubelets "
                "name its address",
                observed=float(local.ready),
                limit=float(ready),
                remedy=Remedy(
                    summary="let it tolerate the taints of all nodes, and see why its pods do not "
                    "become ready",
                    commands=("kubectl -n kube-system get pods -o wide | grep node-local-dns",),
                ),
            )
    if not local.addresses or {*local.addresses} & {*dns.addresses}:
        return  # it has the Service's address on each node: it is asked whatever resolv.conf says
    if isinstance(cluster, Missing) or not cluster.configured:
        yield Unseen(
            subject="whether pods ask NodeLocal DNSCache",
            reason=f"it listens on {', '.join(local.addresses)} alone, and no ConfigMap "
            "kube-system/kubelet-config tells the kubelets' clusterDNS: look into the resolv.conf "
            "of a pod",
        )
    elif not {*local.addresses} & {*cluster.servers}:
        yield Finding(
            code="node-local-bypassed",
            severity=Severity.WARNING,
            subject=SUBJECT,
            message=f"it listens on {', '.join(local.addresses)}, and kubelets tell pods to ask "
            f"{', '.join(cluster.servers)}: it runs, and nobody asks it",
            remedy=Remedy(
                summary="with kube-proxy in iptables mode let it listen on the Service's address "
                f"too (-localip {local.addresses[0]},{', '.join(dns.addresses)}); in IPVS mode set "
                f"clusterDNS: [{local.addresses[0]}] in the kubelets' configuration"
            ),
        )
