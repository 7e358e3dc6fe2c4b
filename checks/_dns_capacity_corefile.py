"""What a Corefile says that works on a small cluster, or does not do what it seems to."""

from collections.abc import Iterator

from k8sdiag.checks._dns_capacity_forward import forwards, told
from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.checks._dns_servers import verifies_pods, walks
from k8sdiag.facts.coredns import CoreDNS, Corefile, Plugin, ServerBlock
from k8sdiag.facts.dns import NodeResolvConf
from k8sdiag.model import Finding, Missing, Severity

ALL_NAMES = ((), (".*",), ("^.*$",), (".*\\.",))  # a `match` that leaves nothing out


def judge(dns: CoreDNS, node: NodeResolvConf | Missing, limits: DnsCapacity) -> Iterator[Finding]:
    if dns.corefile is None:
        return
    for server in dns.corefile.servers:
        yield from _autopath(dns, server, dns.corefile.config_map)
        yield from forwards(dns, server, node, limits)
    for corefile in (dns.corefile, dns.node_local.corefile if dns.node_local else None):
        if corefile:
            yield from _of_any(corefile)


def _of_any(corefile: Corefile) -> Iterator[Finding]:
    """What is wrong in the Corefile of a NodeLocal DNSCache as well."""
    if corefile.broken:
        yield told(
            "corefile-broken",
            Severity.CRITICAL,
            corefile.config_map,
            f"CoreDNS can't read it and does not start with it: {corefile.broken}; what runs "
            "goes on with what it read before",
            "mend it before a pod restarts",
        )
    for server in corefile.servers:
        denying = {_key(server, t) for t in server.named("template") if _denies(t)}
        for kind, zones, match in sorted(denying):
            # Where A is denied as well, the names are meant to be absent.
            if kind != "AAAA" or {("A", zones, match), ("ANY", zones, match)} & denying:
                continue
            every = "." in zones and match in ALL_NAMES
            names = "all names" if every else f"names in {' '.join(zones)}"
            yield told(
                "template-nxdomain",
                Severity.CRITICAL if every else Severity.WARNING,
                corefile.config_map,
                f"it answers AAAA of {names} with NXDOMAIN, and musl (Alpine) then takes them for "
                "absent, whatever their A record says",
                "answer with an empty NOERROR: `rcode NOERROR` in that template",
            )


def _denies(template: Plugin) -> bool:
    rcodes = [o[1].upper() for o in template.options if o[0] == "rcode" and o[1:]]
    return rcodes[-1:] == ["NXDOMAIN"]


def _key(server: ServerBlock, template: Plugin) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The type, the zones and the regular expressions of `template CLASS [TYPE [ZONE...]]`."""
    kind = template.args[1].upper() if len(template.args) > 1 else "ANY"
    matches = tuple(word for o in template.options if o[0] == "match" for word in o[1:])
    return kind, template.args[2:] or server.zones, matches


def _autopath(dns: CoreDNS, server: ServerBlock, where: str) -> Iterator[Finding]:
    if not walks(server):
        return
    if not verifies_pods(server):
        yield told(
            "autopath-pods",
            Severity.WARNING,
            where,
            "autopath @kubernetes does nothing: its kubernetes plugin has no `pods verified`, so "
            "CoreDNS does not know whose search list to walk",
            "set `pods verified` (it takes memory: (pods + services) / 250 + 56 MB), or take "
            "autopath out",
        )
    if dns.node_local and dns.node_local.ready:
        yield told(
            "autopath-node-local",
            Severity.WARNING,
            where,
            "autopath does nothing for pods behind NodeLocal DNSCache: CoreDNS sees the cache's "
            "address, not the pod's",
            "take autopath and `pods verified` out: they cost memory",
        )
