"""musl's getaddrinfo, 1.2.4 and later, and 1.2.3 (Alpine 3.17 and earlier, Debian 12).

Sources: src/network/resolvconf.c (the file), lookup_name.c (the search list), res_msend.c
(servers, tries, errors), res_mkquery.c and lookup_ipliteral.c (names).

1. A name with at least `ndots` dots, or with a dot at its end, is asked as it is only: never the
   search list. Any other: the search list in order, then as it is.
2. Only NXDOMAIN, of A or of AAAA, goes on to the next name, and it throws away a good answer to
   the other. NODATA ends the lookup, and so does SERVFAIL or silence.
3. A step sends A to all servers (three at most), then AAAA to all, from one socket; the first
   answer or NXDOMAIN of any server counts. SERVFAIL is asked again at once, four times (two for
   one type) a round; REFUSED, NOTIMP and FORMERR are ignored. Rounds are timeout/attempts
   apart until `timeout` is over (5 s and 2 unless set): what has no answer goes to all again.
4. A truncated answer is asked again by TCP, where an error ends the step; 1.2.3 has no TCP and
   takes it as it is, without an address.
5. The file: lines of 255 bytes and more are ignored whole; `ndots:`, `attempts:` and `timeout:`
   are found anywhere in an options line, the first of each; the environment is ignored.
   `attempts:0` divides by zero: the process dies. `timeout:0` asks nothing.
6. A search domain that can't be sent is skipped; 1.2.3 ends the lookup there, and of `search .`
   it makes packets that no server can read.

With several servers that answer differently the order of the answers decides: a race, taken here
as if answers came in the order of the queries.
"""

import re
from collections import deque
from collections.abc import Sequence

from k8sdiag.resolver.wire import (
    MOST_SERVERS,
    Wire,
    literal_type,
    parse_server,
    split_name,
)

# What counts as an answer by UDP and by TCP; a truncated one holds no address.
_USABLE = {"ok": "ok", "nodata": "nodata", "nxdomain": "nxdomain", "tc": "nodata"}


def lookup(text: bytes, name: bytes, qtypes: Sequence[str], wire: Wire, *, old: bool) -> bool:
    if not 0 < len(name) < 256:
        return False
    if (literal := literal_type(name)) is not None:
        return literal in qtypes
    if name == b"localhost":  # /etc/hosts of every pod
        return True
    conf = Conf(text)
    bare = name.removesuffix(b".")
    if not conf.attempts or not bare or bare.endswith(b"."):
        return False
    names = [name]
    if name.count(b".") < conf.ndots and bare == name:
        fitting = (d for d in conf.search if len(d) < 255 - len(name))
        names = [*(name + b"." + d for d in fitting), name]
    for candidate in names:
        outcome = _step(conf, candidate, qtypes, wire, old=old)
        if outcome != "nxdomain":
            return outcome == "ok"
    return False


class Conf:
    """resolv.conf as __get_resolv_conf reads it."""

    def __init__(self, text: bytes) -> None:
        self.ndots = 1
        self.attempts = 2
        self.timeout = 5
        self.search: list[bytes] = []
        servers: list[str] = []
        *lines, last = text.split(b"\n")
        for line in [*(x + b"\n" for x in lines), last]:
            if len(line) > 255 - (not line.endswith(b"\n")):
                continue
            if re.match(rb"options\s", line):
                self.ndots = _option(rb"ndots", line, self.ndots, most=15)
                self.attempts = _option(rb"attempts", line, self.attempts, most=10)
                self.timeout = _option(rb"timeout", line, self.timeout, most=60)
            elif re.match(rb"nameserver\s", line):
                word = (line[11:].split() or [b""])[0]
                if literal_type(word) and (server := parse_server(word)):
                    servers.append(server)
            elif re.match(rb"(domain|search)\s", line):
                self.search = line[7:].split()
        self.servers = servers[:MOST_SERVERS] or ["127.0.0.1"]


def _option(name: bytes, line: bytes, unless: int, *, most: int) -> int:
    """The first of its name counts, also when no number follows it."""
    found = re.search(name + rb":([0-9]{0,30})", line)
    return min(int(found[1]), most) if found and found[1] else unless


def _step(conf: Conf, name: bytes, qtypes: Sequence[str], wire: Wire, *, old: bool) -> str:
    """ "ok", "nxdomain" (go on to the next name) or "end"."""
    labels = split_name(name)
    servers = [wire.server(address) for address in conf.servers]
    rounds = _rounds(1000 * conf.timeout, conf.attempts)
    if old and name.endswith(b"..") and _fits(labels[:-1]):
        # Its length byte for the last, empty label is missing.
        question = b"".join(bytes([len(x)]) + x for x in labels[:-1]) + b"."
        for _ in range(rounds):
            for qtype in qtypes:
                for server in servers:
                    code = b"\x01" if qtype == "A" else b"\x1c"
                    wire.send_malformed(question + b"\0" + code + b"\0\x01\0", server)
        return "end"
    if not _fits(labels):
        return "end" if old else "nxdomain"
    readable = _readable(b".".join(labels) + b"\0", old=old)
    answers = _Exchange(labels, qtypes, servers, wire, old=old).run(rounds)
    for qtype in qtypes:  # A first: its NXDOMAIN hides that AAAA got no answer
        if answers.get(qtype) == "nxdomain":
            return "nxdomain"
        if qtype not in answers:
            return "end"
    return "ok" if readable and "ok" in answers.values() else "end"


def _rounds(milliseconds: int, attempts: int) -> int:
    """One more than `attempts` where timeout/attempts leaves a remainder that outlasts poll(2)'s
    slack of a thousandth (measured: `timeout:1 attempts:6` sends seven times, `attempts:3` three).
    """
    if not milliseconds:
        return 0
    spent = milliseconds // attempts * attempts
    return attempts + (1000 * (milliseconds - spent) > spent + 1000)


def _readable(question: bytes, *, old: bool) -> bool:
    """Whether __dns_parse finds the answer behind this name.

    At a byte over 127 it takes the name for compressed and goes on six bytes further: that is
    right, or early by a byte that does no harm, one or two bytes before the end. 1.2.3 gives up
    at a byte that can't begin a pointer.
    """
    found = re.search(rb"[\x80-\xff]", question)
    if found is None:
        return True
    rest = question[found.start() :]
    return len(rest) in (2, 3) and not (old and rest[0] > 0xC1)


def _fits(labels: Sequence[bytes]) -> bool:
    return all(1 <= len(x) <= 63 for x in labels) and len(b".".join(labels)) <= 253


class _Exchange:
    """__res_msend_rc: one name, all types and servers, until each type has its answer."""

    def __init__(
        self,
        labels: Sequence[bytes],
        qtypes: Sequence[str],
        servers: Sequence[int],
        wire: Wire,
        *,
        old: bool,
    ) -> None:
        self._labels = labels
        self._qtypes = qtypes
        self._servers = servers
        self._wire = wire
        self._old = old
        self._answers: dict[str, str] = {}  # type -> ok, nodata or nxdomain
        self._truncated: dict[str, int] = {}  # type -> the server to ask by TCP, once
        self._asked: set[str] = set()  # types that were asked by TCP

    def run(self, rounds: int) -> dict[str, str]:
        for _ in range(rounds):
            if self._open():
                self._datagrams()
                if not self._streams():
                    break
        return self._answers

    def _open(self) -> list[str]:
        return [q for q in self._qtypes if q not in self._answers and q not in self._truncated]

    def _datagrams(self) -> None:
        replies = deque(
            [
                (q, s, self._wire.ask(self._labels, q, s))
                for q in self._open()
                for s in self._servers
            ]
        )
        again = 2 * len(self._qtypes)
        while replies and (still := self._open()):
            qtype, server, word = replies.popleft()
            if qtype not in still:
                continue
            if word == "tc" and not self._old:
                self._truncated[qtype] = server
            elif word in _USABLE:
                self._answers[qtype] = _USABLE[word]
            elif word == "servfail" and again:
                again -= 1
                replies.append((qtype, server, self._wire.ask(self._labels, qtype, server)))

    def _streams(self) -> bool:
        """Ask by TCP what was truncated; False when an error ends the step."""
        words = {
            qtype: self._wire.ask(self._labels, qtype, self._truncated[qtype], "tcp")
            for qtype in self._qtypes
            if qtype in self._truncated and qtype not in self._asked
        }
        self._asked.update(words)
        self._answers |= {q: _USABLE[word] for q, word in words.items() if word in _USABLE}
        return all(word in _USABLE or word == "timeout" for word in words.values())
