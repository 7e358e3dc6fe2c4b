"""What the resolvers of glibc, musl and Go send for a name: pure, no packet is sent.

    >>> conf = "nameserver 10.96.0.10\\nsearch a.example b.example\\noptions ndots:5\\n"
    >>> found = predict(conf, "db.b", lambda q, t, s, via: "ok" if q == "db.b." else "nxdomain")
    >>> len(found.queries), found.ok
    (6, True)

The rules and their sources stand in the docstrings of `glibc`, `musl` and `go`; what is known
to differ from the real thing stands in docs/resolvers.md.
"""

from collections.abc import Mapping
from types import MappingProxyType

from k8sdiag.resolver import glibc, go, musl
from k8sdiag.resolver.glibc_parse import Conf
from k8sdiag.resolver.wire import (
    WORDS,
    Answer,
    Lookup,
    Wire,
    nameserver_words,
    parse_server,
    text_bytes,
)

__all__ = [
    "FAMILIES",
    "RESOLVERS",
    "WORDS",
    "Answer",
    "Lookup",
    "nameservers",
    "predict",
    "sends_edns",
]

RESOLVERS = ("glibc", "musl", "musl-1.2.3", "go")
NO_ENV: Mapping[str, str] = MappingProxyType({})
FAMILIES = {"AF_UNSPEC": ("A", "AAAA"), "AF_INET": ("A",), "AF_INET6": ("AAAA",)}


def predict(
    resolv_conf: str,
    name: str,
    answer: Answer,
    *,
    resolver: str = "glibc",
    family: str = "AF_UNSPEC",
    env: Mapping[str, str] = NO_ENV,
) -> Lookup:
    """The queries of one first getaddrinfo(name) of a process, in order, and its outcome.

    `resolv_conf` is the text of the file; bytes that are no UTF-8 come as surrogate escapes.
    `resolver` is one of RESOLVERS; "musl" is 1.2.4 and later, "go" the pure Go resolver.
    `answer(qname, qtype, server_index, transport)` is called once a query, in the order they
    are sent, and says what comes back: ok (an address of that type), nodata, nxdomain,
    servfail, refused, notimp, formerr, timeout, tc (cut off: ask by TCP) or closed (nobody
    listens there). `transport` is "udp" or "tcp". `server_index` is the first position of the
    server's address among the nameserver lines, also of those that this resolver skips; without
    any, 127.0.0.1 is number 0; -1 is a default server that no line names. `env` is the
    environment of the process: glibc honours RES_OPTIONS and LOCALDOMAIN.

    Go asks A and AAAA side by side; they are put in one order: name by name, first tries before
    second tries, A before AAAA.

    Raises ValueError for an unknown resolver, family or answer, for a NUL byte, and for a lookup
    of more than `wire.MOST_QUERIES` queries.
    """
    if resolver not in RESOLVERS:
        raise ValueError(f"resolver {resolver!r}: must be one of {', '.join(RESOLVERS)}")
    if family not in FAMILIES:
        raise ValueError(f"family {family!r}: must be one of {', '.join(FAMILIES)}")
    conf, asked = text_bytes(resolv_conf, "resolv.conf"), text_bytes(name, "the name")
    wire = Wire(answer, conf)
    if resolver == "glibc":
        settings = {key: text_bytes(value, f"${key}") for key, value in env.items()}
        ok = glibc.lookup(conf, asked, FAMILIES[family], wire, settings)
    elif resolver == "go":
        ok = go.lookup(conf, asked, FAMILIES[family], wire)
    else:
        ok = musl.lookup(conf, asked, FAMILIES[family], wire, old=resolver == "musl-1.2.3")
    return Lookup(queries=tuple(wire.queries), ok=ok)


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """The servers that predict()'s server_index counts; an address keeps its zone, fe80::1%eth0.

    What is no address stands as it is: no resolver asks it. Raises ValueError as predict() does.
    """
    found = []
    for word in nameserver_words(text_bytes(resolv_conf, "resolv.conf")):
        address = parse_server(word)
        zone = b"".join(word.partition(b"%")[1:])
        found.append((address or "") + (zone if address else word).decode("latin-1"))
    return tuple(found) or ("127.0.0.1",)


def sends_edns(resolv_conf: str, resolver: str, env: Mapping[str, str] = NO_ENV) -> bool:
    """Whether its queries carry an OPT record: Go's always, glibc's with `edns0`, musl's never."""
    if resolver != "glibc":
        return resolver == "go"
    settings = {key: text_bytes(value, f"${key}") for key, value in env.items()}
    return b"edns0" in Conf(text_bytes(resolv_conf, "resolv.conf"), settings).flags
