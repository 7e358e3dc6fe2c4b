"""Reads a Corefile as CoreDNS does: its server blocks and their plugins, imports followed.

The grammar is that of https://coredns.io/manual/configuration/ and of the parser below it,
github.com/coredns/caddy/caddyfile: words parted by blanks, "quoted words", # comments, braces
that stand alone, (snippets), and `import` of a snippet or of files. What a plugin makes of its
words is not looked at. {$VARIABLES} stay as they are: a server's environment is not known.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from msgspec import Struct

from k8sdiag.corefile.words import Word, words
from k8sdiag.facts.coredns import Plugin, ServerBlock

FOLDER = PurePosixPath("/etc/coredns")  # where clusters mount it: imports begin here
MOST_IMPORTS = 1000  # as in CoreDNS; its latest versions allow ten times as many
MOST_WORDS = 200_000  # a ConfigMap holds 1 MiB; imports of imports could make any number of it


class CorefileError(ValueError):
    """CoreDNS would refuse it, too. The message is one line: file, line number, and why."""


class Parsed(Struct, frozen=True):
    servers: tuple[ServerBlock, ...]
    unread: tuple[str, ...] = ()  # imported files that are not among those given


def parse(text: str, files: Mapping[str, str] = MappingProxyType({})) -> Parsed:
    """`files` holds what can be imported, by path: {"custom/a.server": "..."}.

    Raises CorefileError.
    """
    return _Parser(text, files).parse()


def zone(key: str) -> str:
    """The zone of a server block's key: "dns://Example.org:53" is "example.org"."""
    host = key.rpartition("://")[2]
    name, colon, port = host.rpartition(":")
    bare = name if colon and (port.isdecimal() or port.startswith("{$")) else host
    return bare.lower().rstrip(".") or "."


class _Parser:
    """One pass over a list of words, in which imports are replaced by what they import."""

    def __init__(self, text: str, files: Mapping[str, str]) -> None:
        self.words = list(words(text))
        self.at = 0
        self.files = files
        self.snippets: dict[str, list[Word]] = {}
        self.imports = 0
        self.unread: list[str] = []

    def parse(self) -> Parsed:
        servers = []
        while self.at < len(self.words):
            keys = self._keys()
            if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
                self._snippet(keys[0][1:-1])
            else:
                plugins = tuple(self._plugins())
                if keys:
                    servers.append(ServerBlock(tuple(map(zone, keys)), plugins))
        return Parsed(tuple(servers), tuple(dict.fromkeys(self.unread)))

    @property
    def text(self) -> str:
        return self.words[self.at].text if self.at < len(self.words) else ""

    @property
    def begins_line(self) -> bool:
        if self.at == 0:
            return True
        before, word = self.words[self.at - 1 : self.at + 1]
        return before.file != word.file or before.last_line < word.line

    def error(self, why: str, at: int | None = None) -> CorefileError:
        """`at`: the place of the word it is about, if not this one."""
        word = self.words[min(self.at if at is None else at, len(self.words) - 1)]
        line = "".join(c if c.isprintable() else " " for c in why)  # names can be quoted
        return CorefileError(f"{word.file}:{word.line}: {line[:200]}")

    def _keys(self) -> list[str]:
        keys: list[str] = []
        another = False
        while self.at < len(self.words):
            if self.text == "import" and self.begins_line:
                self._import()
                continue
            if self.text == "{":
                if another:
                    raise self.error("a { after a comma, where another zone belongs")
                break
            if self.text:
                another = self.text.endswith(",")
                keys.append(self.text.removesuffix(","))
            self.at += 1
            if self.at < len(self.words) and not another and self.begins_line:
                break
        if another and self.at == len(self.words):
            raise self.error("it ends after a comma, where another zone belongs")
        return keys

    def _snippet(self, name: str) -> None:
        if name in self.snippets:
            raise self.error(f"a second snippet is called ({name})")
        if self.text != "{":
            raise self.error(f"the snippet ({name}) has no {{")
        begin, depth = self.at + 1, 1
        for end in range(begin, len(self.words)):
            depth += {"{": 1, "}": -1}.get(self.words[end].text, 0)
            if not depth:
                self.snippets[name] = self.words[begin:end]
                self.at = end + 1
                return
        raise self.error(f"the snippet ({name}) has no }} of its own", self.at)

    def _plugins(self) -> Iterator[Plugin]:
        """To the end of the server block; without braces, to the end of all."""
        begin, braced = self.at, self.text == "{"
        self.at += braced
        while self.at < len(self.words):
            if self.text == "}":
                self.at += 1
                return
            if self.text == "import":
                self._import()
            else:
                yield self._plugin()
        # CoreDNS looks at the last word alone: the brace of a plugin's block will do.
        if braced and self.words[-1].text != "}":
            raise self.error("this { is never closed", begin)

    def _plugin(self) -> Plugin:
        """A directive ends with its line, or with the brace that closes what it opened."""
        begin, name, depth = self.at, self.text, 0
        args: list[str] = []
        options: list[list[str]] = []
        self.at += 1
        while self.at < len(self.words):
            if self.text == "{":
                depth += 1
            elif self.begins_line and not depth:
                break
            elif self.text == "}":
                if not depth:
                    raise self.error("a } that closes nothing: it must stand on a line of its own")
                depth -= 1
            elif self.text == "import" and self.begins_line:
                self._import()
                continue
            elif not depth:
                args.append(self.text)
            else:
                if self.begins_line or not options or self.words[self.at - 1].text == "{":
                    options.append([])
                options[-1].append(self.text)
            self.at += 1
        if depth:
            raise self.error(f"the {{ of {name} is never closed", begin)
        return Plugin(name, tuple(args), tuple(map(tuple, options)))

    def _import(self) -> None:
        """Put what is imported in the place of the two words."""
        begin, here = self.at, self.words[self.at]
        args = [
            word.text
            for word in self.words[begin + 1 : begin + 3]
            if (word.file, word.line) == (here.file, here.line)
        ]
        if len(args) != 1 or not args[0]:
            raise self.error("import takes one file, pattern or snippet")
        self.imports += 1
        if self.imports > MOST_IMPORTS:
            raise self.error(f"more than {MOST_IMPORTS} imports: does one import itself?")
        found = self.snippets[args[0]] if args[0] in self.snippets else self._files(args[0])
        self.words[begin : begin + 2] = found
        if len(self.words) > MOST_WORDS:
            raise self.error(f"more than {MOST_WORDS} words with all imports")

    def _files(self, pattern: str) -> list[Word]:
        path = str(FOLDER / pattern)
        if path.count("*") > 1 or path.count("?") > 1 or ("[" in path and "]" in path):
            raise self.error("an import can have one wildcard")
        found = sorted(f for f in self.files if (FOLDER / f).match(path))
        if not found and not set(pattern) & set("*?[]"):
            self.unread.append(pattern)
        return [word for name in found for word in words(self.files[name], name)]
