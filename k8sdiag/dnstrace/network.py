"""Servers that are asked what the resolver model would ask them."""

from collections import Counter
from typing import Protocol

from k8sdiag.dnstrace.walk import Answers, Lookup, Question, Reply, Walk
from k8sdiag.model import Unavailable
from k8sdiag.resolver import nameservers, sends_edns

MOST_QUESTIONS = 300  # on the network, in one run; at 20 a second
MOST_SILENCE = 3  # questions in a row without an answer, after which a server is left alone


class Ask(Protocol):
    def __call__(
        self, address: str, qname: str, qtype: str, *, tcp: bool = False, edns: bool = False
    ) -> Reply: ...


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

    def _address(self, server: int, resolver: str) -> str:
        """Of server -1, which no line names: Go has a second one of this kind."""
        if server >= 0:
            return self.servers[server]
        return "::1" if resolver == "go" and "127.0.0.1" in self.servers else "127.0.0.1"

    def walk(self, lookup: Lookup, resolver: str) -> Walk:
        """The walk that this resolver makes of the servers' answers.

        Raises Unavailable when it takes more questions than a tool should send.
        """
        edns = sends_edns(lookup.conf, resolver, lookup.env)
        return lookup.walk(resolver, self._answers(resolver, edns=edns))

    def _answers(self, resolver: str, *, edns: bool) -> Answers:
        times: Counter[Question] = Counter()

        def answer(
            qname: str, qtype: str, server: int, transport: str
        ) -> "tuple[str, Reply | None]":
            question = (qname, qtype, server, transport)
            times[question] += 1
            address = self._address(server, resolver)
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
