"""What the DNS servers have to answer, against what they can."""

from collections.abc import Iterator

from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks._dns_capacity_remedy import labels
from k8sdiag.checks._dns_capacity_replicas import subject
from k8sdiag.checks._dns_capacity_traffic import Load, node_of
from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.facts.nodes import Nodes
from k8sdiag.model import Finding, Missing, Remedy, Said, Severity, Usage

VPC = ("/etc/resolv.conf", "169.254.169.253", "fd00:ec2::253")  # ways to AWS' own resolver
UPSTREAMS = (
    "kubectl get --raw /api/v1/namespaces/{namespace}/pods/POD:9153/proxy/metrics | "
    "grep -E '^coredns_(proxy|forward)_request_duration_seconds_(sum|count)'"
)


def usage(dns: CoreDNS, queries: float, replicas: int, source: str, limits: DnsCapacity) -> Usage:
    return Usage(
        limit_id="coredns-qps",
        subject=subject(dns),
        used=queries,
        limit=replicas * limits.queries_per_replica,
        unit="queries/s",
        driver="pods",
        source=f"{source}; {limits.queries_per_replica:,.0f} queries/s assumed of each of "
        f"{replicas} replicas",
    )


def judge(dns: CoreDNS, load: Load, mend: Remedy, limits: DnsCapacity) -> Iterator[Finding]:
    """`mend` takes load away from CoreDNS."""
    said = f"({load.traffic.provenance})"

    def finding(
        code: str, severity: Severity, message: str, observed: float, limit: float, remedy: Remedy
    ) -> Finding:
        return Finding(
            code=code,
            severity=severity,
            subject=subject(dns),
            message=f"{message} {said}",
            observed=observed,
            limit=limit,
            remedy=remedy,
        )

    capacity = load.replicas * limits.queries_per_replica
    if load.queries >= limits.busy_ratio * capacity:
        yield finding(
            "saturated",
            Severity.WARNING,
            f"{load.replicas} DNS servers answer {load.queries:,.0f} queries a second, and "
            f"{capacity:,.0f} are assumed to be what they can",
            load.queries,
            capacity,
            mend,
        )
    nxdomain = load.share("NXDOMAIN")
    if nxdomain > limits.nxdomain_ratio and load.queries > limits.nxdomain_queries:
        yield finding(
            "waste",
            Severity.WARNING,
            f"{nxdomain:.0%} of {load.queries:,.0f} queries a second end with NXDOMAIN: search "
            f"lists make {1 / (1 - nxdomain):.1f} tries of each lookup"
            if nxdomain < 1
            else f"all of {load.queries:,.0f} queries a second end with NXDOMAIN",
            nxdomain,
            limits.nxdomain_ratio,
            mend,
        )
    if load.rejected:
        yield finding(
            "forward-saturated",
            Severity.WARNING,
            f"it refuses {load.rejected:,.3g} queries a second because too many wait for upstream "
            "servers (max_concurrent): musl clients then hang, c-ares clients fail",
            load.rejected,
            0.0,
            Remedy(
                summary="find out why the upstream servers are slow (below: how slow, and which); "
                "then raise max_concurrent of the forward plugin",
                commands=(UPSTREAMS.format(namespace=dns.namespace),),
            ),
        )
    if load.answered < limits.least_responses:
        return
    servfail = load.share("SERVFAIL")
    if servfail > limits.servfail_ratio:
        yield finding(
            "servfail",
            Severity.CRITICAL if servfail > limits.servfail_critical else Severity.WARNING,
            f"{servfail:.1%} of its responses are SERVFAIL; a search domain that answers so makes "
            "every lookup of musl fail",
            servfail,
            limits.servfail_ratio,
            Remedy(
                summary="see which names: mostly an upstream server that is down, or the nodes' "
                "own search domains",
                commands=(f"kubectl -n {dns.namespace} logs -l {labels(dns)} --tail=100",),
            ),
        )
    refused = load.share("REFUSED")
    if refused > limits.refused_ratio and not load.rejected:
        yield finding(
            "refused",
            Severity.WARNING,
            f"{refused:.1%} of its responses are REFUSED: no server block of the Corefile is for "
            "these names, or an upstream server does not want us",
            refused,
            limits.refused_ratio,
            Remedy(summary="compare the zones of the Corefile with the pods' search domains"),
        )
    p99 = load.p99_seconds
    # More than one in a hundred forwarded: then this is the time of servers outside.
    outside = load.forwarded > 0.01
    most = limits.p99_forwarded if outside else limits.p99_seconds
    if p99 is not None and p99 > most:
        yield finding(
            "slow",
            Severity.CRITICAL if p99 > limits.p99_critical else Severity.WARNING,
            f"one response in a hundred takes longer than {p99 * 1000:,.0f} ms, and "
            f"{load.forwarded:.0%} of the queries are forwarded upstream",
            p99,
            most,
            Remedy(
                summary="see how long upstream servers take; if it is not them, replicas lack CPU "
                "(throttled by a CPU limit?) or are too few",
                commands=(UPSTREAMS.format(namespace=dns.namespace),) if outside else (),
            ),
        )


def upstream(
    dns: CoreDNS, load: Load, nodes: Nodes | Missing, mend: Remedy, limits: DnsCapacity
) -> Iterator[Said]:
    """Packets to AWS' resolver, per node: the network interface has a limit of its own."""
    listed = () if isinstance(nodes, Missing) else nodes.nodes
    aws = {n.name for n in listed if n.provider == "aws"}
    rates: dict[str, float] = {}
    for traffic in load.seen:
        node = node_of(dns, traffic)
        if node in aws and _asks_vpc(dns):
            rates[str(node)] = rates.get(str(node), 0.0) + traffic.forwarded
    if not rates:
        return
    node, rate = max(rates.items(), key=lambda item: (item[1], item[0]))
    yield Usage(
        limit_id="dns-upstream-packets",
        subject=f"node/{node}",
        used=rate,
        limit=limits.packets_per_interface,
        unit="packets/s",
        driver="pods",
        source=f"{load.traffic.provenance}; the limit of AWS for each network interface to the "
        "VPC's resolver, shared with all else on it",
    )
    if rate >= limits.busy_ratio * limits.packets_per_interface:
        yield Finding(
            code="upstream-packets",
            severity=Severity.WARNING,
            subject=f"node/{node}",
            message=f"its DNS servers send {rate:,.0f} queries a second to the VPC's resolver, and "
            f"AWS drops what is over {limits.packets_per_interface:,.0f} packets a second of one "
            f"network interface without a word ({load.traffic.provenance})",
            observed=rate,
            limit=limits.packets_per_interface,
            remedy=mend,
        )


def _asks_vpc(dns: CoreDNS) -> bool:
    if dns.corefile is None:
        return True
    upstreams = {u for s in dns.corefile.servers for f in s.named("forward") for u in f.args[1:]}
    return bool(upstreams & set(VPC))
