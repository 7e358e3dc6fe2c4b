"""The DNS door, against servers on the loopback that answer as told."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from k8sdiag.readers.dns import PAUSE_SECONDS, Dns

Answer = Callable[[dns.message.Message], bytes | None]


@contextmanager
def serving(answer: Answer, address: str = "127.0.0.1") -> Iterator[int]:
    """The port of a UDP and TCP server that answers each query."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family) as tcp:
        udp.bind((address, 0))
        port = int(udp.getsockname()[1])
        tcp.bind((address, port))
        tcp.listen()

        def datagrams() -> None:
            while True:
                data, client = udp.recvfrom(4096)
                if not data:
                    return
                if reply := answer(dns.message.from_wire(data)):
                    udp.sendto(reply, client)

        def streams() -> None:
            while True:
                connection, _ = tcp.accept()
                with connection:
                    head = connection.recv(2)
                    if not head:
                        return
                    data = connection.recv(struct.unpack("!H", head)[0])
                    if reply := answer(dns.message.from_wire(data)):
                        connection.sendall(struct.pack("!H", len(reply)) + reply)

        threads = [threading.Thread(target=serve) for serve in (datagrams, streams)]
        for thread in threads:
            thread.start()
        try:
            yield port
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (address, port))
            socket.create_connection((address, port)).close()
            for thread in threads:
                thread.join()


def replying(rcode: str = "NOERROR", *records: str, flags: int = 0) -> Answer:
    def answer(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.from_text(rcode))
        reply.flags |= flags
        for record in records:
            name, kind, value = record.split()
            reply.answer.append(dns.rrset.from_text(name, 5, "IN", kind, value))
        return reply.to_wire()

    return answer


WWW = "www.example.com."


@pytest.mark.parametrize(
    ("answer", "word", "said"),
    [
        (replying("NOERROR", f"{WWW} A 192.0.2.1"), "ok", "NOERROR"),
        (replying("NOERROR"), "nodata", "NODATA"),
        (replying("NOERROR", f"{WWW} CNAME x.example."), "nodata", "NODATA"),
        (replying("NXDOMAIN"), "nxdomain", "NXDOMAIN"),
        (replying("SERVFAIL"), "servfail", "SERVFAIL"),
        (replying("REFUSED"), "refused", "REFUSED"),
        (replying("NOTIMP"), "notimp", "NOTIMP"),
        (replying("FORMERR"), "formerr", "FORMERR"),
        (replying("NOTAUTH"), "formerr", "NOTAUTH"),
        (replying(flags=dns.flags.TC), "tc", "truncated"),
        # Cut off in the middle of a record.
        (
            lambda q: replying("NOERROR", f"{WWW} A 192.0.2.1", flags=dns.flags.TC)(q)[:-3],  # type: ignore[index]
            "tc",
            "truncated",
        ),
        (lambda _: None, "timeout", "no answer in 0.3 s"),
        (lambda _: b"\0" * 40, "timeout", "no answer in 0.3 s"),
    ],
)
def test_every_answer_has_its_word(answer: Answer, word: str, said: str) -> None:
    with serving(answer) as port:
        reply = Dns(0.3, port).ask("127.0.0.1", WWW, "A")

    assert (reply.word, reply.said) == (word, said)
    assert 0 < reply.seconds < 2
    assert reply.left


def test_an_alias_and_its_address_are_told() -> None:
    records = (f"{WWW}a.example. CNAME {WWW}", f"{WWW} A 192.0.2.1", f"{WWW} A 192.0.2.2")
    with serving(replying("NOERROR", *records)) as port:
        reply = Dns(1, port).ask("127.0.0.1", f"{WWW}a.example.", "A")

    assert (reply.alias, reply.addresses) == (WWW, ("192.0.2.1", "192.0.2.2"))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("tcp", [False, True])
def test_both_families_and_both_transports(address: str, tcp: bool) -> None:
    with serving(replying("NOERROR", f"{WWW} AAAA 2001:db8::1"), address) as port:
        reply = Dns(1, port).ask(address, WWW, "AAAA", tcp=tcp)

    assert (reply.word, reply.addresses) == ("ok", ("2001:db8::1",))


@pytest.mark.parametrize("tcp", [False, True])
def test_where_nobody_listens_is_told_at_once(tcp: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    reply = Dns(5, port).ask("127.0.0.1", WWW, "A", tcp=tcp)

    assert (reply.word, reply.said) == ("closed", "Connection refused")
    assert reply.seconds < 1


def test_a_connection_that_ends_without_an_answer() -> None:
    with serving(lambda _: None) as port:
        reply = Dns(1, port).ask("127.0.0.1", WWW, "A", tcp=True)

    assert reply.word == "timeout"


def test_edns_is_offered_only_when_asked_for() -> None:
    seen: list[tuple[int, int]] = []

    def answer(query: dns.message.Message) -> bytes | None:
        seen.append((query.edns, query.payload))
        return replying()(query)

    with serving(answer) as port:
        door = Dns(1, port)
        door.ask("127.0.0.1", WWW, "A")
        door.ask("127.0.0.1", WWW, "A", edns=True)

    assert seen == [(-1, 0), (0, 1232)]


def test_it_asks_no_more_than_twenty_times_a_second() -> None:
    with serving(replying()) as port:
        door = Dns(1, port)
        begin = time.monotonic()
        for _ in range(4):
            door.ask("127.0.0.1", WWW, "A")

    assert time.monotonic() - begin >= 3 * PAUSE_SECONDS


@pytest.mark.parametrize("name", [r"\000\255\".x.", r"a\.b.", "UPPER.Example."])
def test_odd_names_arrive_as_they_are(name: str) -> None:
    seen: list[str] = []

    def answer(query: dns.message.Message) -> bytes | None:
        seen.append(query.question[0].name.to_text())
        return replying("NXDOMAIN")(query)

    with serving(answer) as port:
        assert Dns(1, port).ask("127.0.0.1", name, "A").word == "nxdomain"

    assert seen == [name]
