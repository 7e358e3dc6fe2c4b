"""The words of a Corefile."""

from collections.abc import Iterator
from typing import NamedTuple


class Word(NamedTuple):
    text: str
    file: str
    line: int  # of its beginning

    @property
    def last_line(self) -> int:
        return self.line + self.text.count("\n")


def words(text: str, file: str = "Corefile") -> Iterator[Word]:
    """The lexer: a # ends a line wherever it stands unquoted, also within a word."""
    at, line, end = 0, 1, len(text)
    while at < end:
        char = text[at]
        if char == "#":
            at = text.find("\n", at)
            if at < 0:
                return
        elif char == '"':
            begin = line
            quoted, at = _quoted(text, at + 1)
            line += quoted.count("\n")
            if quoted or at <= end:  # an empty word, if its second quote is there
                yield Word(quoted, file, begin)
        elif char.isspace():
            line += char == "\n"
            at += 1
        else:
            begin = at
            while at < end and not (text[at].isspace() and text[at] != "\r") and text[at] != "#":
                at += 1
            yield Word(text[begin:at].replace("\r", ""), file, line)


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands before the next quote that has no backslash, and the place behind that quote.

    Without such a quote the word goes on to the end, and the place is behind the end.
    """
    found: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            found.append(text[at + 1] if text[at + 1] == '"' else text[at : at + 2])
            at += 2
        else:
            found.append(text[at])
            at += 1
    return "".join(found), at + 1
