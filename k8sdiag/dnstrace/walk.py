"""The walk of one lookup, as the resolver model makes it."""

from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher
from typing import Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.resolver import predict


class Reply(Protocol):
    """What one server answered; k8sdiag.readers.dns gives it."""

    @property
    def word(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def addresses(self) -> tuple[str, ...]: ...
    @property
    def alias(self) -> str: ...
    @property
    def left(self) -> bool: ...


Question = tuple[str, str, int, str]  # (qname, qtype, server_index, transport)
# (qname, qtype, server_index, transport) -> a word of predict()'s answers, and its reply
Answers = Callable[[str, str, int, str], "tuple[str, Reply | None]"]


class Step(Struct, frozen=True, kw_only=True):
    """One query, and what came back."""

    qname: str
    qtype: str  # "?": a packet that no server can read
    server: int
    transport: str
    word: str
    reply: Reply | None = None  # None: assumed, or the server was left alone

    @property
    def question(self) -> Question:
        return self.qname, self.qtype, self.server, self.transport


class Walk(Struct, frozen=True, kw_only=True):
    resolver: str
    steps: tuple[Step, ...]
    ok: bool  # whether the caller gets an address
    needed: int | None = None  # queries that the full name would take; None: it is not found

    @property
    def found(self) -> str:
        """The name that had the address; "" if none had, or DNS was not asked."""
        return (
            next((s.qname for s in reversed(self.steps) if s.word == "ok"), "") if self.ok else ""
        )

    @property
    def queries(self) -> int:
        """As predict() counts them: a port where nobody listens gets none."""
        return sum(step.word != "closed" for step in self.steps)


class Lookup(Struct, frozen=True, kw_only=True):
    """What is traced: predict()'s arguments but for the answers. Raises ValueError as it does."""

    conf: str
    name: str
    family: str = "AF_UNSPEC"
    env: Mapping[str, str] = {}

    def as_is(self, resolver: str) -> str:
        """The name itself, as this resolver sends it; "" if it never does."""
        asked = predict("", self.name, lambda *_: "nxdomain", resolver=resolver).queries
        return asked[0][0] if asked else ""

    def assumed(self, resolver: str, told: Mapping[str, str]) -> Walk:
        """The walk if the answers are as told, {"db.shop.svc.cluster.local.": "ok"}, else NXDOMAIN.

        Unless something is told to exist, the name itself does.
        """
        words = {**told} if "ok" in told.values() else {self.as_is(resolver).lower(): "ok", **told}
        return self.walk(resolver, lambda q, *_: (words.get(q.lower(), "nxdomain"), None))

    def walk(self, resolver: str, answers: Answers) -> Walk:
        """The walk that this resolver makes of these answers."""
        steps: list[Step] = []

        def answer(*question: object) -> str:
            qname, qtype, server, transport = asked = cast(Question, question)
            word, reply = answers(*asked)
            steps.append(
                Step(
                    qname=qname,
                    qtype=qtype,
                    server=server,
                    transport=transport,
                    word=word,
                    reply=reply,
                )
            )
            return word

        done = predict(
            self.conf, self.name, answer, resolver=resolver, family=self.family, env=self.env
        )
        steps += [  # musl 1.2.3 ends a lookup with them
            Step(qname=qname, qtype=qtype, server=server, transport="udp", word="timeout")
            for qname, qtype, server in done.queries
            if qtype == "?"
        ]
        walk = Walk(resolver=resolver, steps=tuple(steps), ok=done.ok)
        return replace(walk, needed=self._needed(walk)) if walk.found else walk

    def _needed(self, walk: Walk) -> int:
        words = {step.question: step.word for step in walk.steps}
        direct = predict(
            self.conf,
            walk.found,
            lambda *question: words.get(question, "nodata"),
            resolver=walk.resolver,
            family=self.family,
            env=self.env,
        )
        return len(direct.queries)


class Row(Struct, frozen=True):
    """A query of one walk or of both."""

    step: Step
    predicted: Step | None
    live: Step | None


def side_by_side(expected: Walk, live: Walk) -> list[Row]:
    """Two walks of one resolver, in order: the same questions beside each other."""
    left, right = expected.steps, live.steps
    matcher = SequenceMatcher(
        None, [s.question for s in left], [s.question for s in right], autojunk=False
    )
    rows: list[Row] = []
    for what, i, j, k, m in matcher.get_opcodes():
        if what == "equal":
            rows += [Row(b, a, b) for a, b in zip(left[i:j], right[k:m], strict=True)]
        else:
            rows += [Row(step, step, None) for step in left[i:j]]
            rows += [Row(step, None, step) for step in right[k:m]]
    return rows


def in_columns(walks: Iterable[Walk]) -> dict[Question, list[list[int]]]:
    """Every question, and for each walk the places where it sends it, from 1."""
    walks = list(walks)
    found: dict[Question, list[list[int]]] = {}
    for number, walk in enumerate(walks):
        for place, step in enumerate(walk.steps, 1):
            found.setdefault(step.question, [[] for _ in walks])[number].append(place)
    return found
