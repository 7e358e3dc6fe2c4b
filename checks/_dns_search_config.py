"""Mistakes in the DNS configuration of pods that need no measuring."""

import ipaddress
from collections.abc import Iterator

from msgspec import Struct

from k8sdiag.checks._dns_search_walk import Group
from k8sdiag.model import Finding, Remedy, Severity
from k8sdiag.resolver.glibc_parse import Conf

# A longer search value makes a line of more than 254 bytes, which musl skips.
LONGEST_MUSL_SEARCH = 247
TLDS = ("com", "net", "org", "io", "co", "ai", "edu", "gov", "mil", "int", "info", "biz")


class Mistake(Struct, frozen=True, kw_only=True):
    code: str
    message: str
    mend: str


def mistakes(found: list[Group], tlds: tuple[str, ...]) -> Iterator[Finding]:
    """One finding for each kind of mistake, with the largest workload that makes it."""
    made: dict[str, list[tuple[Group, Mistake]]] = {}
    for group in sorted(found, key=lambda g: (-g.pods, g.profile.workload)):
        for mistake in _of_one(group):
            made.setdefault(mistake.code, []).append((group, mistake))
    for largest, *others in made.values():
        group, mistake = largest
        more = len({g.profile.workload for g, _ in others} - {group.profile.workload})
        also = f"; {more:,} more workload{'s' if more > 1 else ''} as well" if more else ""
        yield Finding(
            code=mistake.code,
            severity=Severity.WARNING,
            subject=group.profile.workload.subject,
            message=mistake.message + also,
            remedy=Remedy(summary=mistake.mend),
        )
    yield from _namespaces(found, tlds)


def _of_one(group: Group) -> Iterator[Mistake]:
    conf = group.conf
    if "attempts:0" in conf.options:
        yield Mistake(
            code="attempts-zero",
            message="attempts:0 in its resolv.conf: glibc then sends no query at all, and a "
            "program with musl (Alpine) dies of a division by zero at its first lookup",
            mend="remove attempts from dnsConfig.options, or set 1 or more",
        )
    if group.adds_servers and conf.omitted_nameservers:
        yield Mistake(
            code="nameservers-omitted",
            message=f"its dnsConfig makes {group.nameservers} nameservers of those of its policy, "
            f"and the kubelet leaves out all but {', '.join(conf.nameservers)}",
            mend="keep three nameservers at most, those of the policy included",
        )
    if conf.omitted_searches:
        yield Mistake(
            code="search-omitted",
            message=f"its search list has {group.domains} domains, and the kubelet leaves out "
            f"{conf.omitted_searches} of them",
            mend="shorten dnsConfig.searches: the kubelet takes 32 domains of 253 characters, "
            "2048 in all (6 and 256 before Kubernetes 1.26)",
        )
    if group.musl and group.characters > LONGEST_MUSL_SEARCH:
        yield Mistake(
            code="search-ignored",
            message=f"its search list has {group.characters} characters and its image is Alpine, "
            f"whose musl ignores a list of more than {LONGEST_MUSL_SEARCH}: short names of "
            "Services do not resolve",
            mend="shorten dnsConfig.searches, or write full names",
        )
    if Conf(conf.text.encode(), {}).aborts:
        yield Mistake(
            code="glibc-aborts",
            message="its search list has a domain so long that a program with glibc (2.26 and "
            "later) aborts at its first lookup: assertion resolv_conf_matches",
            mend="drop the long domain from dnsConfig.searches",
        )
    if group.asks_cluster and (public := _public(group)):
        yield Mistake(
            code="public-nameserver",
            message=f"it asks {', '.join(public)} beside the cluster's DNS: musl asks all at once, "
            "and where the public one is first to say that a Service does not exist, the lookup "
            "fails; glibc and Go turn to it when the cluster's DNS fails",
            mend="remove it from dnsConfig.nameservers; what it should resolve belongs into the "
            "forward plugin of CoreDNS",
        )


def _public(group: Group) -> list[str]:
    config = group.profile.dns_config
    return [a for a in (config.nameservers if config else ()) if _is_public(a)]


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _namespaces(found: list[Group], tlds: tuple[str, ...]) -> Iterator[Finding]:
    searching = any(g.asks_cluster and (g.conf.ndots or 1) > 1 for g in found)
    named = sorted({g.profile.workload.namespace for g in found} & set(tlds))
    if not (searching and named):
        return
    first, *others = named
    also = f"; so are {', '.join(others)}" if others else ""
    yield Finding(
        code="tld-namespace",
        severity=Severity.WARNING,
        subject=f"namespace/{first}",
        message=f"it is called like a top-level domain: a Service named example in it takes the "
        f"lookups of example.{first} from every pod with ndots above 1{also}",
        remedy=Remedy(
            summary="give the namespace another name, or let nobody create Services in it who "
            "must not answer for such a domain"
        ),
    )
