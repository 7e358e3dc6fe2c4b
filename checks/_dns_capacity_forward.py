"""Where a Corefile forwards what it does not know itself."""

import ipaddress
import shlex
from collections.abc import Iterator

from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.facts.coredns import CoreDNS, Plugin, ServerBlock
from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Finding, Missing, Remedy, Severity


def forwards(
    dns: CoreDNS, server: ServerBlock, node: NodeResolvConf | Missing, limits: DnsCapacity
) -> Iterator[Finding]:
    where = dns.corefile.config_map if dns.corefile else ""
    forwards = server.named("forward")
    root = any(f.args[:1] == (".",) for f in forwards) and "." in server.zones
    looping = {address for f in forwards for address in _back(f, dns, server, node)}
    if looping:
        stops = bool(server.named("loop"))
        yield told(
            "forward-loop",
            Severity.CRITICAL,
            where,
            f"it forwards {' '.join(server.zones)} to {', '.join(sorted(looping))}, which is "
            "CoreDNS itself: "
            + (
                "the loop plugin ends each replica at its start"
                if stops
                else "queries run in a circle"
            ),
            "forward to the servers behind it: give the kubelets a resolvConf without loopback "
            "addresses (/run/systemd/resolve/resolv.conf under systemd-resolved), or name them",
        )
    # What OpenShift's operator writes is its own business: nobody else can edit it.
    if root and not looping and not server.named("loop") and dns.namespace == "kube-system":
        yield told(
            "no-loop",
            Severity.WARNING,
            where,
            "it forwards all names and has no `loop`: if a node's resolv.conf ever points back at "
            "CoreDNS, queries run in a circle until its memory is full, and nothing says why",
            "add `loop` to the server block of the root zone",
        )
    if root and not server.named("cache"):
        yield told(
            "no-cache",
            Severity.WARNING,
            where,
            "it forwards all names and has no `cache`: every lookup of an external name goes "
            "upstream",
            "add `cache 30` to the server block of the root zone",
        )
    for forward in forwards:
        most = next((o[1] for o in forward.options if o[0] == "max_concurrent" and o[1:]), "")
        if most.isdecimal() and 0 < int(most) < limits.least_concurrent:
            yield told(
                "max-concurrent",
                Severity.WARNING,
                where,
                f"it refuses queries while {int(most)} others wait for an upstream server "
                f"(max_concurrent); slow upstreams reach that at once",
                "set max_concurrent 1000, as kubeadm does: it takes some 2 KB a query",
            )


def _back(
    forward: Plugin, dns: CoreDNS, server: ServerBlock, node: NodeResolvConf | Missing
) -> Iterator[str]:
    """The upstreams that are CoreDNS itself: its Service, or the loopback of its pod."""

    def itself(address: str) -> bool:
        return address in dns.addresses or (_loopback(address) and not server.named("bind"))

    for upstream in forward.args[1:]:
        if upstream.startswith("/"):
            # CoreDNS has dnsPolicy Default: the node's file, read inside the pod.
            servers = () if isinstance(node, Missing) else node.nameservers
            yield from (f"{a} (of the nodes' {upstream})" for a in servers if itself(a))
            continue
        scheme, _, host = upstream.rpartition("://")
        address, port = _split(host)
        if scheme in ("", "dns") and port == "53" and itself(address):
            yield upstream


def _split(host: str) -> tuple[str, str]:
    """Address and port: "10.0.0.1:5353", "[fd00::1]:53", "fd00::1"."""
    if host.startswith("["):
        address, _, port = host[1:].partition("]")
        return address, port.removeprefix(":") or "53"
    if host.count(":") == 1:
        address, _, port = host.partition(":")
        return address, port
    return host, "53"


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def told(code: str, severity: Severity, config_map: str, message: str, mend: str) -> Finding:
    """A finding about a Corefile, with the command that opens it."""
    namespace, _, name = config_map.partition("/")
    return Finding(
        code=code,
        severity=severity,
        subject=f"configmap/{config_map}",
        message=message,
        remedy=Remedy(
            summary=mend,
            commands=(shlex.join(("kubectl", "-n", namespace, "edit", "configmap", name)),),
        ),
    )
