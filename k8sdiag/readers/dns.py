"""DNS on the wire: one question to one server, timed.

Not a resolver: no search list, no second try. Each question leaves from a port of its own, for
connection tracking pins a port to one replica of the cluster's DNS.
"""

import errno
import socket
import time
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import dns.message

PAUSE_SECONDS = 0.05  # between two questions: 20 a second
EDNS_BYTES = 1232  # what Go offers, and DNS flag day 2020 recommends

# What resolvers tell apart; they take any other rcode for a server that does not understand.
_WORDS = {
    "NXDOMAIN": "nxdomain",
    "SERVFAIL": "servfail",
    "REFUSED": "refused",
    "NOTIMP": "notimp",
}
# Answers of the network; with any other error the question did not leave this host.
_ANSWERED = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH)


class Reply(Struct, frozen=True, kw_only=True):
    word: str  # as the resolver model says it: "ok", "nodata", "nxdomain", "timeout", "closed", ...
    said: str  # for people: "NXDOMAIN", "no answer in 5 s", "Connection refused"
    seconds: float
    addresses: tuple[str, ...] = ()
    alias: str = ""  # where a CNAME leads
    left: bool = True  # whether the question left this host


class Dns:
    """The door to DNS servers: reads only, at most 20 questions a second, one at a time."""

    def __init__(self, timeout_seconds: float = 5.0, port: int = 53) -> None:
        self._timeout = timeout_seconds
        self._port = port
        self._next = 0.0

    def ask(
        self, address: str, qname: str, qtype: str, *, tcp: bool = False, edns: bool = False
    ) -> Reply:
        """What a server answers; silence and refusals are replies too.

        `qname` is in RFC 1035 presentation format and rooted; the address may have a zone.
        """
        import dns.exception
        import dns.message
        import dns.query

        query = dns.message.make_query(
            qname, qtype, use_edns=0 if edns else False, payload=EDNS_BYTES
        )
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + PAUSE_SECONDS
        begin = time.perf_counter()
        try:
            if tcp:
                answer = dns.query.tcp(query, address, self._timeout, self._port)
            else:
                answer = self._udp(query, address)
        except dns.message.Truncated:
            return _reply("tc", "truncated", begin)
        except dns.exception.Timeout:
            return _reply("timeout", f"no answer in {self._timeout:g} s", begin)
        except (EOFError, dns.exception.DNSException):
            return _reply("timeout", "no DNS answer", begin)
        except OSError as error:
            said = error.strerror or str(error)
            return _reply("closed", said, begin, left=error.errno in _ANSWERED)
        return _read(answer, qtype, begin)

    def _udp(self, query: "dns.message.Message", address: str) -> "dns.message.Message":
        import dns.inet
        import dns.query

        destination = dns.inet.low_level_address_tuple((address, self._port))
        family = dns.inet.af_for_address(address)
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.setblocking(False)
            own.connect(destination)  # only then the kernel tells that nobody listens there
            return dns.query.udp(
                query,
                address,
                self._timeout,
                self._port,
                ignore_unexpected=True,
                ignore_errors=True,
                raise_on_truncation=True,
                sock=own,
            )


def _reply(word: str, said: str, begin: float, *, left: bool = True) -> Reply:
    return Reply(word=word, said=said, seconds=time.perf_counter() - begin, left=left)


def _read(answer: "dns.message.Message", qtype: str, begin: float) -> Reply:
    import dns.flags
    import dns.rcode

    seconds = time.perf_counter() - begin
    said = dns.rcode.to_text(answer.rcode())
    records = [(rrset, record) for rrset in answer.answer for record in rrset]
    kind = {"A": 1, "AAAA": 28}[qtype]
    addresses = tuple(record.to_text() for rrset, record in records if rrset.rdtype == kind)
    aliases = [record.to_text() for rrset, record in records if rrset.rdtype == 5]
    if answer.flags & dns.flags.TC:
        word, said = "tc", "truncated"
    elif said == "NOERROR":
        word = "ok" if addresses else "nodata"
        said = "NOERROR" if addresses else "NODATA"
    else:
        word = _WORDS.get(said, "formerr")
    return Reply(
        word=word,
        said=said,
        seconds=seconds,
        addresses=addresses,
        alias=aliases[-1] if aliases else "",
    )
