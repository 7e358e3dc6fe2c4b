"""glibc's getaddrinfo and its `dns` service, as of 2.36.

Sources: resolv/res_init.c (the file), resolv/res_query.c (the search list), resolv/res_send.c
(servers, tries, errors), resolv/resolv_conf.c (the abort), resolv/res-name-checking.c and
nss/digits_dots.c (names); resolv.conf(5).

The search list (__res_context_search)
1. A name with at least `ndots` dots, or with a dot at its end, is asked as it is first; with a
   dot at its end only so.
2. Then the search list, in order. NXDOMAIN, NODATA and SERVFAIL go on to the next domain; any
   other failure, also a domain too long for the wire, leaves the list. When nobody listens
   the lookup ends.
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

from k8sdiag.resolver.wire import (
    MOST_SERVERS,
    Wire,
    labels_fit,
    parse_ipv4,
    parse_ipv6,
    parse_server,
)

_ERRORS = ("servfail", "notimp", "refused")
# How a step ended, if it did not find an address.
_FOUND, _NEXT, _LEAVE, _STOP = "found", "next domain", "leave the list", "stop"

# The order counts: an option is what its text begins with.
_FLAGS = (b"rotate", b"edns0", b"single-request-reopen", b"single-request", b"no_tld_query") + (
    b"no-tld-query",
    b"no-reload",
    b"use-vc",
    b"trust-ad",
    b"no-aaaa",
)


def lookup(
    text: bytes, name: bytes, qtypes: Sequence[str], wire: Wire, env: Mapping[str, bytes]
) -> bool:
    if address := parse_ipv4(name) or (parse_ipv6(name) if b":" in name else None):
        return ("AAAA" if ":" in address else "A") in qtypes
    if name.lower() == b"localhost":  # /etc/hosts of every pod
        return True
    # gethostbyname2, which AF_INET goes through, takes digits and dots for a bad address.
    if qtypes == ("A",) and re.fullmatch(rb"[0-9][0-9.]*(?<!\.)", name):
        return False
    if not _is_hostname(name):
        return False
    conf = Conf(text, env)
    return not conf.aborts and _Resolver(conf, qtypes, wire).search(name)


class Conf:
    """resolv.conf as res_vinit_1 reads it, then RES_OPTIONS; LOCALDOMAIN overrides the list."""

    def __init__(self, text: bytes, env: Mapping[str, bytes]) -> None:
        self.ndots = 1
        self.attempts = 2
        self.flags: set[bytes] = set()
        self.search: list[bytes] = []
        servers: list[str] = []
        local = env.get("LOCALDOMAIN")
        if local is not None:
            value = local.partition(b"\n")[0]
            self.search = ([] if value[:1].strip(b" \t") else [b""]) + _words(value)
        for line in text.split(b"\n"):
            keyword, rest = re.fullmatch(rb"([a-z]*)(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
            if rest[:1] not in (b" ", b"\t"):
                continue
            words = _words(rest)
            if keyword in (b"search", b"domain") and words and local is None:
                self.search = words if keyword == b"search" else words[:1]
            elif keyword == b"nameserver" and words and (server := parse_server(words[0])):
                servers.append(server)
            elif keyword == b"options":
                self._options(rest)
        self._options(env.get("RES_OPTIONS", b""))
        self.servers = servers[:MOST_SERVERS] or ["127.0.0.1"]

    def _options(self, text: bytes) -> None:
        # Not word by word: "ndots: 5" is read as 5, for atoi(3) skips blanks.
        for found in re.finditer(rb"[^ \t]+", text):
            rest = text[found.start() :]
            if rest.startswith(b"ndots:"):
                self.ndots = min(_atoi(rest[6:]), 15) & 15  # a field of four bits: -1 is 15
            elif rest.startswith(b"attempts:"):
                self.attempts = min(_atoi(rest[9:]), 5)
            else:
                self.flags.update([f for f in _FLAGS if rest.startswith(f)][:1])

    @property
    def aborts(self) -> bool:
        """The process dies: assertion `resolv_conf_matches`, met by a long domain.

        The old copy of the list holds 6 domains in 256 bytes. A domain that does not fit, after
        others of at most 56 bytes, looks like a program's change of the list.
        """
        used = 0
        for domain in self.search[:6]:
            if used + len(domain) + 1 > 256:
                return used <= 56
            used += len(domain) + 1
        return False


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
            return _FOUND
        if not answers:
            if not self._heard:
                return _STOP  # ECONNREFUSED
            return _NEXT if self._first == "servfail" else _LEAVE
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
        self._heard = self._heard or "closed" not in words
        if "closed" in words or "timeout" in words:
            return []
        self._first = words[0]
        return ["nodata" if word == "tc" else word for word in words]

    def _datagrams(self, labels: Sequence[bytes], server: int) -> list[str]:
        """Good answers of one server, in the order of arrival, or a "tc"; nothing: try the next."""
        while True:
            words = []
            for qtype in self._qtypes:
                # One by one, the second is not sent before a good answer to the first.
                if (
                    self._single
                    and words
                    and (words[0] in _ERRORS or words[0] in ("timeout", "tc"))
                ):
                    break
                words.append(self._wire.ask(labels, qtype, server))
            if "closed" in words:
                return []
            self._heard = True
            arrived = [word for word in words if word != "timeout"]
            self._first = arrived[0] if arrived else self._first
            good = [word for word in arrived if word not in _ERRORS]
            if "tc" in good:
                # An error after a good first answer ends the wait before more is read.
                return ["tc"]
            if len(arrived) == len(self._qtypes) or not good:
                return good
            # One of two was lost.
            if self._single and self._reopen:
                return good
            self._reopen = self._single
            self._single = True


def _words(line: bytes) -> list[bytes]:
    return [word for word in re.split(rb"[ \t]", line) if word]


def _atoi(text: bytes) -> int:
    """atoi(3) where long has 64 bits and int 32."""
    found = re.match(rb"\s*([+-]?[0-9]{1,30})", text)
    if found is None:
        return 0
    value = max(-(2**63), min(int(found[1]), 2**63 - 1))
    return (value + 2**31) % 2**32 - 2**31


def _is_hostname(name: bytes) -> bool:
    """__libc_res_hnok: letters, digits, - and _ in labels; no - at the start of the name."""
    if not all(0x20 < c < 0x7F for c in name):
        return False
    labels = parse_name(name)
    if labels is None or name == b"":
        return False
    return not (labels and labels[0].startswith(b"-")) and all(
        re.fullmatch(rb"[0-9A-Za-z_-]+", label) for label in labels
    )


def parse_name(name: bytes) -> list[bytes] | None:
    r"""ns_name_pton: labels with \. and \DDD escapes; None if it does not fit the wire."""
    labels = [bytearray()]
    at = 0
    while at < len(name):
        c = name[at]
        at += 1
        if c == ord("."):
            labels.append(bytearray())
            continue
        if c == ord("\\"):
            escape = re.match(rb"([0-9]{3})|[^0-9]", name[at:], re.DOTALL)
            if escape is None or (escape[1] and int(escape[1]) > 255):
                return None
            c = int(escape[1]) if escape[1] else escape[0][0]
            at += len(escape[0])
        labels[-1].append(c)
    if name == b".":
        return []
    if len(labels) > 1 and not labels[-1]:
        labels.pop()
    found = [bytes(label) for label in labels]
    return found if labels_fit(found) else None
