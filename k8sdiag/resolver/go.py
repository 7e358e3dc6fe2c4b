"""Go's own resolver (CGO_ENABLED=0, or GODEBUG=netdns=go), as of Go 1.26.

Sources: src/net/dnsconfig_unix.go (the file), src/net/dnsclient.go (names),
src/net/dnsclient_unix.go (the search list, tries, errors).

1. Candidates: the name as it is first if it has at least `ndots` dots, every search domain, the
   name as it is last otherwise; with a dot at its end only the name. `.onion` is never asked.
2. Every failure of a candidate goes on to the next one.
3. A and AAAA are asked side by side and both to their end: up to attempts x servers tries, in
   order; an answer, NODATA and NXDOMAIN end it, all else goes to the next try. With `rotate`
   each begins at the next server: AAAA before A, but with `single-request` A before AAAA.
4. A truncated answer is asked again by TCP at once. EDNS0 is always on, and there is no
   fallback without it.
5. The file: three servers at most, `.` in `search` dropped, `attempts` and `timeout` at
   least 1, without a cap; unknown options and the environment are ignored. Without a server
   127.0.0.1 and ::1.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from k8sdiag.resolver.wire import MOST_SERVERS, Wire, labels_fit, parse_server, split_name


def lookup(text: bytes, name: bytes, qtypes: Sequence[str], wire: Wire) -> bool:
    if literal := _literal_types(name):
        return not set(literal).isdisjoint(qtypes)
    if name.lower() == b"localhost":  # /etc/hosts of every pod
        return True
    if not _is_domain_name(name):
        return False
    resolver = _Resolver(Conf(text), wire)
    return any(resolver.step(fqdn, qtypes) for fqdn in resolver.candidates(name))


class Conf:
    """resolv.conf as dnsReadConfig reads it."""

    def __init__(self, text: bytes) -> None:
        self.ndots = 1
        self.attempts = 2
        self.rotate = self.single = self.tcp = False
        self.search: list[bytes] = []
        servers: list[str] = []
        for line in text.split(b"\n"):
            keyword, *fields = re.findall(rb"[^ \r\t\n]+", line) or [b""]
            if line[:1] in (b";", b"#"):
                continue
            if keyword == b"nameserver" and fields:
                # Unlike inet_aton(3), netip.ParseAddr wants four decimal numbers.
                if _literal_types(fields[0]) and (server := parse_server(fields[0])):
                    servers.append(server)
            elif keyword == b"domain" and fields:
                self.search = [_rooted(fields[0])]
            elif keyword == b"search":
                self.search = [x for x in map(_rooted, fields) if x != b"."]
            elif keyword == b"options":
                for option in fields:
                    self._option(option)
        self.servers = servers[:MOST_SERVERS] or ["127.0.0.1", "::1"]

    def _option(self, option: bytes) -> None:
        if option.startswith(b"ndots:"):
            self.ndots = min(_dtoi(option[6:]), 15)
        elif option.startswith(b"attempts:"):
            self.attempts = max(_dtoi(option[9:]), 1)
        elif option == b"rotate":
            self.rotate = True
        elif option in (b"single-request", b"single-request-reopen"):
            self.single = True
        elif option in (b"use-vc", b"usevc", b"tcp"):
            self.tcp = True


class _Resolver:
    def __init__(self, conf: Conf, wire: Wire) -> None:
        self._conf = conf
        self._wire = wire
        self._servers = [wire.server(address) for address in conf.servers]
        self._turn = 0

    def candidates(self, name: bytes) -> list[bytes]:
        if name.endswith(b"."):
            return [] if _is_onion(name) else [name]
        as_is = name + b"."
        names = [n for d in self._conf.search if len(n := as_is + d) <= 254]
        enough = name.count(b".") >= self._conf.ndots
        names.insert(0 if enough else len(names), as_is)
        return [n for n in names if not _is_onion(n)]

    def step(self, fqdn: bytes, qtypes: Sequence[str]) -> bool:
        labels = split_name(fqdn)
        # Of goroutines made in a row the last one runs first.
        order = qtypes if self._conf.single else qtypes[::-1]
        turns = [self._turn + order.index(qtype) for qtype in qtypes]
        self._turn += len(qtypes)
        if not labels_fit(labels):  # the packet cannot be made, at every try
            return False
        tries = [self._tries(labels, *how) for how in zip(qtypes, turns, strict=True)]
        return any([True for words in zip_longest(*tries) if "ok" in words])  # noqa: C419 - all run

    def _tries(self, labels: Sequence[bytes], qtype: str, turn: int) -> Iterator[str]:
        """What is answered to each query that is sent: none is where nobody listens."""
        start = turn % len(self._servers) if self._conf.rotate else 0
        servers = self._servers[start:] + self._servers[:start]
        for _ in range(self._conf.attempts):
            for server in servers:
                for transport in ("tcp",) if self._conf.tcp else ("udp", "tcp"):
                    word = self._wire.ask(labels, qtype, server, transport)
                    if word != "closed":
                        yield word
                    if word != "tc":
                        break
                # A truncated answer by TCP is taken as it is: without an address.
                if word in ("ok", "nodata", "nxdomain", "tc"):
                    return


def _literal_types(name: bytes) -> tuple[str, ...]:
    """What netip.ParseAddr's address serves for; `::` stands for 0.0.0.0 too (internetAddrList)."""
    text, found, zone = name.partition(b"%")
    try:
        ip = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return ()
    if isinstance(ip, ipaddress.IPv4Address):
        return () if found else ("A",)
    if found and not zone:
        return ()
    if ip.ipv4_mapped:
        return ("A",)
    return ("AAAA",) if int(ip) else ("A", "AAAA")


def _is_domain_name(name: bytes) -> bool:
    """isDomainName: some letter, - or _; labels of 1 to 63 bytes without - at their ends."""
    if name == b".":
        return True
    bare = name.removesuffix(b".")
    return (
        len(bare) <= 253
        and re.fullmatch(rb"[0-9.]*", bare) is None
        and all(
            re.fullmatch(rb"(?!-)[0-9A-Za-z_-]{1,63}(?<!-)", label) for label in bare.split(b".")
        )
    )


def _is_onion(fqdn: bytes) -> bool:
    return fqdn.removesuffix(b".").lower().endswith(b".onion")


def _rooted(domain: bytes) -> bytes:
    return domain if domain.endswith(b".") else domain + b"."


def _dtoi(text: bytes) -> int:
    found = re.match(rb"[0-9]{1,30}", text)
    return min(int(found[0]), 0xFFFFFF) if found else 0
