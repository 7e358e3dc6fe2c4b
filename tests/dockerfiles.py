"""dockerd's file and flags, and what it makes of them: the source is tested with them, and dockerd.

What it reports was recorded from dockerd 20.10.24; tests/real/test_docker_config.py asks it again.
"""

from typing import NamedTuple

FILE = "etc/docker/daemon.json"


class Valid(NamedTuple):
    """`reports` is how many layers dockerd logs that it downloads at once."""

    id: str
    text: str | None  # of the file
    reports: int
    source: str = f"/{FILE}"
    arguments: tuple[str, ...] = ()


class Broken(NamedTuple):
    """dockerd does not start; `says` is in what the source says."""

    id: str
    text: str
    says: str
    arguments: tuple[str, ...] = ()


FLAG = "--max-concurrent-downloads"

VALID = [
    Valid("no file", None, 3, "default"),
    Valid("nothing of it", '{"registry-mirrors": []}', 3, "default"),
    Valid("the file", '{"max-concurrent-downloads": 10}', 10),
    Valid("a 0 in the file", '{"max-concurrent-downloads": 0}', 3, "default"),
    Valid("null in the file", '{"max-concurrent-downloads": null}', 3, "default"),
    Valid("a flag", "{}", 6, FLAG, (FLAG, "5", f"{FLAG}=6")),
    Valid("a flag in hexadecimal", None, 16, FLAG, (f"{FLAG}=0x10",)),
    Valid("a flag of 0", None, 0, FLAG, (f"{FLAG}=0",)),
    Valid("no file wanted", '{"max-concurrent-downloads": 4}', 3, "default", ("--config-file=",)),
]

BROKEN = [
    Broken("no JSON", " ", "not JSON"),
    Broken("a list", "[]", "no JSON object"),
    Broken("text", '{"max-concurrent-downloads": "4"}', "no whole number"),
    Broken("a fraction", '{"max-concurrent-downloads": 4.0}', "no whole number"),
    Broken("less than none", '{"max-concurrent-downloads": -1}', "no whole number"),
    Broken("no such file", "{}", "none.json does not exist", ("--config-file", "/etc/none.json")),
]
