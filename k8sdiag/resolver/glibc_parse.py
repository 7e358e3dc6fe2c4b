"""How glibc reads resolv.conf, its environment and names, as of 2.36.

Sources: resolv/res_init.c (the file: every search domain counts, trailing text of a search line
too), resolv/resolv_conf.c (the abort), resolv/res-name-checking.c and resolv/ns_name_pton.c.
"""

import re
from collections.abc import Mapping, Sequence

from k8sdiag.resolver.wire import MOST_SERVERS, labels_fit, parse_server

# The order counts: an option is what its text begins with.
_FLAGS = (
    b"rotate",
    b"edns0",
    b"single-request-reopen",
    b"single-request",
    b"no_tld_query",
    b"no-tld-query",
    b"no-reload",
    b"use-vc",
    b"trust-ad",
    b"no-aaaa",
)


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


def _words(line: bytes) -> list[bytes]:
    return [word for word in re.split(rb"[ \t]", line) if word]


def _atoi(text: bytes) -> int:
    """atoi(3) where long has 64 bits and int 32."""
    found = re.match(rb"\s*([+-]?[0-9]{1,30})", text)
    if found is None:
        return 0
    value = max(-(2**63), min(int(found[1]), 2**63 - 1))
    return (value + 2**31) % 2**32 - 2**31


def is_hostname(name: bytes) -> bool:
    """__libc_res_hnok: letters, digits, - and _ in labels; no - at the start of the name.

    The empty name is one: with `search .` it asks for the root, and for nothing otherwise.
    """
    if not all(0x20 < c < 0x7F for c in name):
        return False
    labels = parse_name(name)
    return name == b"" or (labels is not None and are_hostname(labels))


def are_hostname(labels: Sequence[bytes]) -> bool:
    """__res_binary_hnok."""
    return not (labels and labels[0].startswith(b"-")) and all(
        label.isalnum() or re.fullmatch(rb"[0-9A-Za-z_-]+", label) for label in labels
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
