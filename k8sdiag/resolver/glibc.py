"""glibc's getaddrinfo and its `dns` service, as of 2.36.

Sources: resolv/res_query.c (the search list), resolv/res_send.c (servers, tries, errors),
nss/digits_dots.c; resolv.conf(5).

The search list (__res_context_search)
1. A name with at least `ndots` dots, or with a dot at its end, is asked as it is first; with a
   dot at its end only so.
2. Then the search list, in order. NXDOMAIN, NODATA and SERVFAIL go on to the next domain; any
   other failure, also a domain too long for the wire, leaves the list. When nobody listens
   the lookup ends, and so it does with an address of what is no host name: `search a.example#`,
   or a file with CRLF (nss_dns/dns-host.c).
3. At last the name as it is, unless that was tried, or the list held `.`, or `no-tld-query` is
   set and the name has no dot.

One step (__res_context_send)
4. A and AAAA leave together by UDP; servers in order, the first three, `attempts` rounds (2).
   SERVFAIL, NOTIMP and REFUSED of both go to the next server; of one only, the other answer
   is taken as it is. FORMERR and NXDOMAIN are answers.
5. One of the two lost: asked again one after the other, then again with a socket each, and
   so for the rest of the process. A lost AAAA is then given up and the A taken.
6. One after the other (`single-request`) AAAA is asked only after a good answer to A.
7. A truncated answer repeats both by TCP, and each further server is then asked once, by TCP.
   By TCP no error goes to the next server: SERVFAIL goes to the next domain.

`rotate` with several servers begins at random; here with the first.
"""

import re
from collections.abc import Mapping, Sequence

from k8sdiag.resolver.glibc_parse import Conf, are_hostname, is_hostname, parse_name
from k8sdiag.resolver.wire import Wire, is_mapped, literal_type

_ERRORS = ("servfail", "notimp", "refused")
# How a step ended, if it did not find an address.
_FOUND, _NEXT, _LEAVE, _STOP = "found", "next domain", "leave the list", "stop"


def lookup(
    text: bytes, name: bytes, qtypes: Sequence[str], wire: Wire, env: Mapping[str, bytes]
) -> bool:
    if literal := literal_type(name):
        mapped = literal == "AAAA" and is_mapped(name)
        return literal in qtypes or mapped  # ::ffff:192.0.2.1 serves for both families
    conf = Conf(text, env)
    if conf.aborts:
        return False
    if name.lower() == b"localhost":  # /etc/hosts of every pod
        return True
    # gethostbyname2, which AF_INET goes through, takes digits and dots for a bad address.
    if qtypes == ("A",) and re.fullmatch(rb"[0-9][0-9.]*(?<!\.)", name):
        return False
    return is_hostname(name) and _Resolver(conf, qtypes, wire).search(name)


class _Resolver:
    def __init__(self, conf: Conf, qtypes: Sequence[str], wire: Wire) -> None:
        self._conf = conf
        self._wire = wire
        self._servers = [wire.server(address) for address in conf.servers]
        self._no_aaaa = b"no-aaaa" in conf.flags
        # With no-aaaa a query for AAAA alone is sent as one for A, its addresses thrown away.
        self._qtypes = ("A",) if self._no_aaaa else tuple(qtypes)
        self._deaf = self._no_aaaa and tuple(qtypes) == ("AAAA",)
        self._reopen = b"single-request-reopen" in conf.flags
        self._single = b"single-request" in conf.flags or self._reopen
        self._steps = 0

    def search(self, name: bytes) -> bool:
        dots = name.count(b".")
        rooted = name.endswith(b".")
        as_is = dots >= self._conf.ndots or rooted
        if as_is and self._step(name) == _FOUND:
            return True
        if rooted:
            return False
        for domain in self._conf.search:
            suffix = domain.removeprefix(b".")
            as_is = as_is or not suffix
            outcome = self._step(name + b"." + suffix)
            if outcome in (_FOUND, _STOP):
                return outcome == _FOUND
            if outcome == _LEAVE:
                break
        no_tld = bool({b"no-tld-query", b"no_tld_query"} & self._conf.flags)
        if as_is or (no_tld and not dots and self._conf.search):
            return False
        return self._step(name) == _FOUND

    def _step(self, name: bytes) -> str:
        labels = parse_name(name)
        if labels is None:
            return _LEAVE
        self._first = "noerror"  # the last rcode in the first answer's buffer
        self._heard = False
        answers = self._send(labels)
        if self._deaf:
            answers = ["nodata" if x == "ok" else x for x in answers]
        if "ok" in answers:
            return _FOUND if are_hostname(labels) else _STOP
        if not answers:
            if not self._heard:
                return _STOP  # ECONNREFUSED
            # res-noaaaa.c keeps no error of a query for AAAA alone: silence is NODATA there.
            silent = self._deaf and self._first == "noerror"
            return _NEXT if silent or self._first == "servfail" else _LEAVE
        error = next((x for x in answers if x != "nodata"), "nodata")
        if error == "servfail":
            return _NEXT if self._first == "servfail" else _LEAVE
        return _NEXT if error in ("nxdomain", "nodata") else _LEAVE

    def _send(self, labels: Sequence[bytes]) -> list[str]:
        """What was answered in the end, in the order of arrival; nothing if no server did."""
        servers = self._servers
        if b"rotate" in self._conf.flags:
            start = self._steps % len(servers)
            servers = servers[start:] + servers[:start]
        self._steps += 1
        tcp = b"use-vc" in self._conf.flags
        for _ in range(self._conf.attempts):
            for server in servers:
                if not tcp:
                    answers = self._datagrams(labels, server)
                    tcp = "tc" in answers
                if tcp:
                    answers = self._stream(labels, server)
                if answers:
                    return answers
            if tcp:
                break
        return []

    def _stream(self, labels: Sequence[bytes], server: int) -> list[str]:
        words = [self._wire.ask(labels, qtype, server, "tcp") for qtype in self._qtypes]
        self._heard = "closed" not in words  # of the last server: send_vc's errno stays
        if "closed" in words or "timeout" in words:
            return []
        self._first = words[0]
        return ["nodata" if word == "tc" else word for word in words]

    def _datagrams(self, labels: Sequence[bytes], server: int) -> list[str]:
        """Good answers of one server, in the order of arrival, or a "tc"; nothing: try the next."""
        while True:
            words: list[str] = []
            for qtype in self._qtypes:
                # One by one, the second is not sent before a good answer to the first.
                if self._single and words and words[0] in (*_ERRORS, "timeout", "tc"):
                    break
                words.append(self._wire.ask(labels, qtype, server))
            if "closed" in words:
                return []
            self._heard = True
            arrived = [word for word in words if word != "timeout"]
            self._first = arrived[0] if arrived else self._first
            good = [word for word in arrived if word not in _ERRORS]
            if "tc" in good:
                return ["tc"]
            if len(arrived) == len(self._qtypes) or not good:
                return good
            if self._single and self._reopen:  # the second of two was lost once more
                return good
            self._reopen = self._single
            self._single = True
