"""Files and names as nobody writes them, for servers that all give one answer, and at once.

Left out is what resolvers do by chance (`rotate`) or after a long wait (musl 1.2.3 and `search .`).
"""

import random
from typing import Any

from k8sdiag.resolver import FAMILIES

NAMESERVERS = (
    *("127.0.53.1", "127.0.53.2", "::1", "127.1", "0:0::1", "0x7f.0.53.1", "127.0.13569"),
    *("127.0.53.300", "bogus"),
)
KEYWORDS = ("search", "search", "options", "options", "domain", "Search", "searchx", "#", ";", "")
WORDS = f"""
    a.example A.example b.example. c.d.example .x a..b a# # ; #n under_score -dash x.onion 192.0.2.1
    {"l" * 63} {"l" * 64} {"k." * 80}k \udcff bogus edns0 trust-ad no-aaaa no_aaaa no-tld-query
    ndots:0 ndots:2 ndots:5 ndots:5x ndots:-1 ndots: ndots:99 ndots NDOTS:3 xndots:3
    attempts:0 attempts:1 attempts:99 timeout:0 timeout:9 use-vc usevc single-request
    single-request-reopen
""".split()
NAMES = f"""
    db db. db.b db.b. www.example.com a.b.c.d.e.f DB.B _x under_score -bad bad- a.-b a..b .a a.. .
    1 1.2 1.2.3.4 1.2.3.4.5 0x7f.1 256.1.1.1 :: ::1 ::1%lo ::1%1 ::ffff:1.2.3.4 1::2::3 a@b a\\.b
    localhost LOCALHOST localhost. x.onion {"x" * 63} {"x" * 64}.b {"x." * 120}x {"x." * 127}x
    bücher.example xé
""".split()


def guesses(count: int) -> list[dict[str, Any]]:
    """Jobs for the lab, the same ones at every call."""
    rng = random.Random(5)
    return [_guess(rng, number) for number in range(count)]


def _guess(rng: random.Random, number: int) -> dict[str, Any]:
    lines = [f"nameserver {word}" for word in rng.choices(NAMESERVERS, k=rng.randrange(4))]
    for keyword in rng.choices(KEYWORDS, k=rng.randrange(1, 5)):
        words = [keyword, *rng.choices(WORDS, k=rng.randrange(5))]
        lines.append(rng.choice((" ", " ", " ", "  ", "\t", "\r")).join(words))
    rng.shuffle(lines)
    text = rng.choice(("\n", "\n", "\n", "\r\n")).join(lines) + rng.choice(("\n", "\n", ""))
    suffix = rng.choice((".example.", "b.", "B.", "a."))
    return {
        "id": f"guess {number}",
        "family": rng.choice(list(FAMILIES)),
        "resolv_conf": text,
        "name": rng.choice(NAMES),
        "rules": [{"suffix": suffix, "do": rng.choice(("ok", "nodata", "nxdomain"))}],
    }
