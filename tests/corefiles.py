"""Corefiles, and what CoreDNS makes of them: the reader is tested with them, and CoreDNS, too."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Files = Mapping[str, str]  # path below the Corefile's folder -> content
NO_FILES: Files = MappingProxyType({})


class Valid(NamedTuple):
    """CoreDNS starts; `servers` is each block's zones and the names of its plugins."""

    id: str
    text: str
    servers: list[tuple[tuple[str, ...], list[str]]]
    files: Files = NO_FILES


class Broken(NamedTuple):
    """CoreDNS does not start; `says` is the reader's line and reason, as a regular expression."""

    id: str
    text: str
    says: str
    files: Files = NO_FILES


# {$PORT} and {$OTHER} are free ports.
VALID = [
    Valid("one server", ".:{$PORT} {\n    errors\n}\n", [((".",), ["errors"])]),
    Valid("no newline at the end", ".:{$PORT} {\n    errors\n}", [((".",), ["errors"])]),
    Valid("CRLF", ".:{$PORT} {\r\n    errors\r\n}\r\n", [((".",), ["errors"])]),
    Valid("no braces", ".:{$PORT}\nerrors\ncache 30\n", [((".",), ["errors", "cache"])]),
    Valid("the brace on the next line", ".:{$PORT}\n{\n errors\n}\n", [((".",), ["errors"])]),
    Valid("nothing in it", ".:{$PORT} {\n}\n", [((".",), [])]),
    Valid(
        "two zones, one with a comma",
        "a.example:{$PORT}, b.example:{$PORT} {\n errors\n}\n",
        [(("a.example", "b.example"), ["errors"])],
    ),
    Valid(
        "a comma at the end of the line",
        "a.example:{$PORT},\nB.Example.:{$PORT} {\n errors\n}\n",
        [(("a.example", "b.example"), ["errors"])],
    ),
    Valid("a scheme", "dns://.:{$PORT} {\n errors\n}\n", [((".",), ["errors"])]),
    Valid(
        "two servers",
        ".:{$PORT} {\n errors\n}\ncorp:{$OTHER} {\n forward . 192.0.2.1\n cache\n}\n",
        [((".",), ["errors"]), (("corp",), ["forward", "cache"])],
    ),
    Valid(
        "comments, also behind words and within them",
        "# a } {\n.:{$PORT} { # {\n errors # }\n cache 30#{\n}\n#",
        [((".",), ["errors", "cache"])],
    ),
    Valid(
        "a block",
        ".:{$PORT} {\n cache 30 {\n  success 10\n  denial 5\n }\n}\n",
        [((".",), ["cache"])],
    ),
    Valid(
        "one closing brace for two",
        ".:{$PORT} {\n cache 30 {\n  denial 5\n }\n",
        [((".",), ["cache"])],
    ),
    Valid(
        "quoted words",
        '.:{$PORT} {\n template "IN" "AAAA" {\n  match ".*"\n  rcode "NOERROR"\n }\n}\n',
        [((".",), ["template"])],
    ),
    Valid(
        "a brace in quotes and one behind a backslash",
        '.:{$PORT} {\n template IN A {\n  answer "{{ .Name }} 60 IN TXT \\"a b\\""\n }\n}\n',
        [((".",), ["template"])],
    ),
    Valid(
        "a snippet",
        "(both) {\n errors\n cache 30 {\n  denial 5\n }\n}\n.:{$PORT} {\n import both\n}\n",
        [((".",), ["errors", "cache"])],
    ),
    Valid("a snippet that nobody uses", "(x) {\n}\n.:{$PORT} {\n}\n", [((".",), [])]),
    Valid(
        "a snippet of snippets",
        "(a) {\n errors\n}\n(b) {\n import a\n log\n}\n.:{$PORT} {\n import b\n}\n",
        [((".",), ["errors", "log"])],
    ),
    Valid("a pattern without files", ".:{$PORT} {\n import custom/*.override\n}\n", [((".",), [])]),
    Valid(
        "files of a pattern, in their order",
        ".:{$PORT} {\n import custom/*.override\n errors\n}\nimport custom/*.server\n",
        [((".",), ["log", "cache", "errors"]), (("corp",), ["forward"])],
        {
            "custom/b.override": "cache 30 {\n denial 5\n}\n",
            "custom/a.override": "log\n",
            "custom/corp.server": "corp:{$OTHER} {\n forward . 192.0.2.1\n}\n",
        },
    ),
    Valid(
        "a file that imports within a block",
        ".:{$PORT} {\n cache 30 {\n  import ttl\n }\n}\n",
        [((".",), ["cache"])],
        {"ttl": "success 10\ndenial 5"},
    ),
]
BROKEN = [
    Broken("never closed", ".:{$PORT} {\n errors\n", r"^Corefile:1: this { is never closed"),
    Broken(
        "two blocks never closed",
        ".:{$PORT} {\n cache 30 {\n denial 5\n",
        r"^Corefile:2: the { of cache is never closed",
    ),
    Broken("all on one line", ".:{$PORT} { errors }\n", r"^Corefile:1: a } that closes nothing"),
    Broken(
        "a comma before the brace", ".:{$PORT}, {\n errors\n}\n", r"^Corefile:1: a { after a comma"
    ),
    Broken("a comma and no more", ".:{$PORT},\n", r"^Corefile:1: it ends after a comma"),
    Broken("an import of nothing", ".:{$PORT} {\n import\n}\n", r"^Corefile:2: import takes one"),
    Broken(
        "an import of two", ".:{$PORT} {\n import a b\n}\n", r"^Corefile:2: import takes one file"
    ),
    Broken(
        "two wildcards",
        ".:{$PORT} {\n import */*.conf\n}\n",
        r"^Corefile:2: an import can have one wildcard",
    ),
    Broken(
        "a snippet twice",
        "(a) {\n}\n(a) {\n}\n.:{$PORT} {\n}\n",
        r"^Corefile:3: a second snippet is called \(a\)",
    ),
    Broken(
        "a snippet never closed",
        "(a) {\n errors\n.:{$PORT} {\n}\n",
        r"^Corefile:1: the snippet \(a\) has no }",
    ),
    Broken(
        "a snippet that imports itself",
        "(a) {\n import a\n}\n.:{$PORT} {\n import a\n}\n",
        r"more than 1000 imports",
    ),
    Broken(
        "a file that imports itself",
        ".:{$PORT} {\n import a\n}\n",
        r"^a:1: more than 1000 imports",
        {"a": "import a\n"},
    ),
    Broken(
        "an imported file that closes too much",
        ".:{$PORT} {\n cache 30 {\n  import a\n}\n",
        r"^a:1: a } that closes nothing",
        {"a": "denial 5 } }\n"},
    ),
]
