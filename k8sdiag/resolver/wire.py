"""What the resolvers share: names and addresses as bytes, and the record of what was sent."""

import ipaddress
import re
from collections.abc import Callable, Sequence

from msgspec import Struct

Answer = Callable[[str, str, int, str], str]  # (qname, qtype, server_index, transport) -> word
Query = tuple[str, str, int]  # (qname, qtype, server_index)

WORDS = frozenset(
    "ok nodata nxdomain servfail refused notimp formerr timeout tc closed".split()  # noqa: SIM905
)
# No sane lookup sends a hundredth of it; Go takes `attempts:16777215` at its word.
MOST_QUERIES = 20_000
MOST_SERVERS = 3  # MAXNS of glibc and musl; Go's dnsReadConfig has the same


class Lookup(Struct, frozen=True, kw_only=True):
    """What one lookup sends, and whether its caller gets an address of the family asked for.

    A query to a port where nobody listens reaches no server and is not among `queries`.
    """

    queries: tuple[Query, ...]
    ok: bool


class Wire:
    """Asks `answer` and keeps what was asked."""

    def __init__(self, answer: Answer, conf: bytes) -> None:
        self.queries: list[Query] = []
        self._answer = answer
        self._sent = 0
        words = nameserver_words(conf)
        self._named = [parse_server(w) or w.decode("latin-1") for w in words] or ["127.0.0.1"]

    def server(self, address: str) -> int:
        return self._named.index(address) if address in self._named else -1

    def ask(self, labels: Sequence[bytes], qtype: str, server: int, transport: str = "udp") -> str:
        self._count()
        qname = present(labels)
        word = self._answer(qname, qtype, server, transport)
        if word not in WORDS:
            raise ValueError(f"answer {word!r}: must be one of {', '.join(sorted(WORDS))}")
        if word != "closed":
            self.queries.append((qname, qtype, server))
        return word

    def send_malformed(self, question: bytes, server: int) -> None:
        """A packet that no server can read, and so none answers."""
        self._count()
        self.queries.append((f"!malformed:{question.hex()}", "?", server))

    def _count(self) -> None:
        self._sent += 1
        if self._sent > MOST_QUERIES:
            raise ValueError(
                f"more than {MOST_QUERIES} queries for one name: lower attempts in resolv.conf, "
                "or shorten its search list"
            )


def text_bytes(text: str, what: str) -> bytes:
    """The bytes that a C program sees."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: {error.object[error.start]!r} stands for no byte") from error
    if b"\0" in data:
        raise ValueError(f"{what}: holds a NUL byte")
    return data


def labels_fit(labels: Sequence[bytes]) -> bool:
    """Whether a name fits the wire: labels of 1 to 63 bytes, 255 in all (RFC 1035, 2.3.4)."""
    return all(1 <= len(x) <= 63 for x in labels) and sum(len(x) + 1 for x in labels) < 255


def split_name(name: bytes) -> list[bytes]:
    """The labels of a name without escapes; one dot at its end says no more than none."""
    name = name.removesuffix(b".")
    return name.split(b".") if name else []


def present(labels: Sequence[bytes]) -> str:
    """RFC 1035 presentation format, rooted."""
    return "".join(_escape(x) + "." for x in labels) or "."


def _escape(label: bytes) -> str:
    if label.isalnum():  # nearly always
        return label.decode()
    return "".join(
        f"\\{c:c}" if c in b'"().;\\@$' else chr(c) if 0x20 < c < 0x7F else f"\\{c:03d}"
        for c in label
    )


_INTERFACES = (b"lo", b"eth0")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


def parse_ipv4(word: bytes) -> str | None:
    """inet_aton(3): 127.0.0.1, but also 127.1, 0x7f.1 and 2130706433."""
    parts = word.split(b".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(p) for p in parts):
        return None
    *high, low = (_number(p) for p in parts)
    if any(p > 255 for p in high) or low >= 256 ** (4 - len(high)):
        return None
    packed = bytes(high) + low.to_bytes(4 - len(high), "big")
    return str(ipaddress.IPv4Address(packed))


def _number(digits: bytes) -> int:
    if digits[:2] in (b"0x", b"0X"):
        return int(digits[2:][-64:], 16) if len(digits) < 64 else 2**64
    if len(digits) > 64:  # int() refuses thousands of digits, and so does every address
        return 2**64
    return int(digits, 8 if digits[:1] == b"0" else 10)


def parse_ipv6(word: bytes) -> str | None:
    """inet_pton(3) of what stands before a zone, whatever that is."""
    try:
        return str(ipaddress.IPv6Address(word.partition(b"%")[0].decode("ascii")))
    except ValueError:
        return None


def literal_type(name: bytes) -> str | None:
    """A or AAAA for an address that libc looks up as a name; "" for one with a bad zone.

    A zone is a number, or of a link-local address an interface, and a pod has two of those.
    Sources: inet/inet6_scopeid_pton.c of glibc, src/network/lookup_ipliteral.c of musl.
    """
    if parse_ipv4(name):
        return "A"
    if b":" not in name or not (address := parse_ipv6(name)):
        return None
    _, found, zone = name.partition(b"%")
    numbered = re.fullmatch(rb"[0-9]{1,30}", zone) and int(zone) < 2**32
    linked = zone in _INTERFACES and ipaddress.IPv6Address(address).is_link_local
    return "AAAA" if not found or numbered or linked else ""


def is_mapped(address: bytes) -> bool:
    """Whether an IPv6 address stands for one of IPv4."""
    found = parse_ipv6(address)
    return found is not None and ipaddress.IPv6Address(found).ipv4_mapped is not None


def parse_server(word: bytes) -> str | None:
    """A nameserver's address in one spelling; None if it is none."""
    return parse_ipv4(word) or parse_ipv6(word)


def nameserver_words(conf: bytes) -> list[bytes]:
    """What the nameserver lines of the file name, whoever may read them."""
    lines = (line.split() for line in conf.split(b"\n"))
    return [fields[1] for fields in lines if fields[:1] == [b"nameserver"] and len(fields) > 1]
