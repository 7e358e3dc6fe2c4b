"""The walk of one lookup, as the resolver model makes it: under assumptions, or on a network.

Pure: who asks the network is given. Its answers drive the model, so that the walk is what this
resolver would do there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher
from typing import Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.model import Unavailable
from k8sdiag.resolver import nameservers, predict, sends_edns

MOST_QUESTIONS = 300  # on the network, in one run; at 20 a second
MOST_SILENCE = 3  # questions in a row without an answer, after which a server is left alone


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


class Ask(Protocol):
    def __call__(
        self, address: str, qname: str, qtype: str, *, tcp: bool = False, edns: bool = False
    ) -> Reply: ...


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
        return self._walk(resolver, lambda q, *_: (words.get(q.lower(), "nxdomain"), None))

    def live(self, resolver: str, network: "Network") -> Walk:
        """The walk that this resolver makes of the network's answers.

        Raises Unavailable when it takes more questions than a tool should send.
        """
        edns = sends_edns(self.conf, resolver, self.env)
        return self._walk(resolver, network.answers(resolver, edns=edns))

    def _walk(self, resolver: str, answers: Answers) -> Walk:
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


class Network:
    """Asks servers. A question that several resolvers send goes out once, a repeat anew."""

    def __init__(self, ask: Ask, conf: str) -> None:
        self._ask = ask
        self.servers = nameservers(conf)
        self._heard: dict[tuple[object, ...], Reply] = {}
        self._silent: Counter[tuple[str, bool]] = Counter()

    @property
    def replies(self) -> list[Reply]:
        return list(self._heard.values())

    def speaks(self, address: str) -> bool:
        """Whether this server has answered, or was never asked."""
        heard = [reply.word for key, reply in self._heard.items() if key[2] == address]
        return not heard or any(word not in ("timeout", "closed") for word in heard)

    def address(self, server: int, resolver: str) -> str:
        """Of server -1, which no line names: Go has a second one of this kind."""
        if server >= 0:
            return self.servers[server]
        return "::1" if resolver == "go" and "127.0.0.1" in self.servers else "127.0.0.1"

    def answers(self, resolver: str, *, edns: bool) -> Answers:
        """Answers for one walk."""
        times: Counter[Question] = Counter()

        def answer(
            qname: str, qtype: str, server: int, transport: str
        ) -> "tuple[str, Reply | None]":
            question = (qname, qtype, server, transport)
            times[question] += 1
            address = self.address(server, resolver)
            reply = self.ask(
                qname, qtype, address, tcp=transport == "tcp", edns=edns, nth=times[question]
            )
            return (reply.word if reply else "timeout"), reply

        return answer

    def ask(
        self,
        qname: str,
        qtype: str,
        address: str,
        *,
        tcp: bool = False,
        edns: bool = False,
        nth: int = 1,
    ) -> Reply | None:
        """The answer; None of a server that has been silent too often to be asked again."""
        key = (qname, qtype, address, tcp, edns, nth)
        if key in self._heard:
            return self._heard[key]
        if self._silent[address, tcp] >= MOST_SILENCE:
            return None
        if len(self._heard) >= MOST_QUESTIONS:
            raise Unavailable(
                f"gave up after {MOST_QUESTIONS} queries: lower attempts in resolv.conf or "
                "shorten its search list, or trace without --live"
            )
        reply = self._heard[key] = self._ask(address, qname, qtype, tcp=tcp, edns=edns)
        silent = reply.word == "timeout"
        self._silent[address, tcp] = self._silent[address, tcp] + 1 if silent else 0
        return reply


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
