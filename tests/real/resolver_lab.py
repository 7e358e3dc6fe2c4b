"""Real resolvers against DNS servers that answer by a script and record what they are asked.

    python -m tests.real.resolver_lab < JOB      in network, mount and UTS namespaces of its own

It binds its own files over /etc/resolv.conf, /etc/hosts and /etc/nsswitch.conf and listens on
port 53 of the loopback. JOB is JSON: {"folder": "...", "runs": [{"command", "resolv_conf",
"rules", "default", "env"}, ...]}; the output is a list of {"queries", "ok"}.

A rule is {"do": answer} and what it is for: qname, suffix, qtype, server, transport, nth (the
n-th time that this question comes to this server). The first that fits decides.
"""

import json
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from k8sdiag.resolver import nameservers

ADDRESSES = ("127.0.53.1", "127.0.53.2", "127.0.53.3", "127.0.0.1", "::1")
FILES = {
    "/etc/resolv.conf": "",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}
RCODES = ("nxdomain", "servfail", "refused", "notimp", "formerr")
SO_TIMESTAMPNS = 35
SETTLE_SECONDS = 0.02  # for a packet that the program did not wait for


class Script:
    """What the servers answer: also what the model is given."""

    def __init__(self, rules: list[dict[str, Any]], default: str) -> None:
        self._rules = rules
        self._default = default
        self._asked: Counter[tuple[str, str, int]] = Counter()

    def answer(self, qname: str, qtype: str, server: int, transport: str) -> str:
        self._asked[qname, qtype, server] += 1
        told: dict[str, object] = {"qname": qname, "qtype": qtype, "server": server}
        told |= {"transport": transport, "nth": self._asked[qname, qtype, server]}
        for rule in self._rules:
            same = all(told[k] == v for k, v in rule.items() if k not in ("suffix", "do"))
            if same and qname.endswith(rule.get("suffix", "")):
                return str(rule["do"])
        return self._default


class Servers(threading.Thread):
    """One thread answers on all addresses; the kernel's time of arrival gives the order."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self.begin(Script([], "nxdomain"), ())
        for address in ADDRESSES:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            udp.bind((address, 53))
            tcp = socket.socket(family)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((address, 53))
            tcp.listen()
            self._selector.register(udp, selectors.EVENT_READ, (self._datagram, address))
            self._selector.register(tcp, selectors.EVENT_READ, (self._accept, address))

    def begin(self, script: Script, named: tuple[str, ...]) -> None:
        with self._lock:
            self._script = script
            self._named = named
            self._log: list[tuple[float, list[object]]] = []

    def asked(self) -> list[list[object]]:
        with self._lock:
            return [query for _, query in sorted(self._log, key=lambda entry: entry[0])]

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                take, address = key.data
                take(key.fileobj, address)

    def _datagram(self, udp: socket.socket, address: str) -> None:
        data, extra, _, client = udp.recvmsg(4096, socket.CMSG_SPACE(16))
        seconds, nanoseconds = struct.unpack("qq", extra[0][2])
        if reply := self._reply(data, address, "udp", seconds + nanoseconds / 1e9):
            udp.sendto(reply, client)

    def _accept(self, tcp: socket.socket, address: str) -> None:
        connection, _ = tcp.accept()
        self._selector.register(connection, selectors.EVENT_READ, (self._stream, address))

    def _stream(self, connection: socket.socket, address: str) -> None:
        try:
            head = connection.recv(2, socket.MSG_WAITALL)
            reply = None
            if len(head) == 2:
                data = connection.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                reply = self._reply(data, address, "tcp", time.time())
            if reply:
                connection.sendall(struct.pack("!H", len(reply)) + reply)
                return
        except OSError:  # the client has gone
            pass
        self._selector.unregister(connection)
        connection.close()

    def _reply(self, data: bytes, address: str, transport: str, when: float) -> bytes | None:
        with self._lock:
            server = self._named.index(address) if address in self._named else -1
            try:
                query = dns.message.from_wire(data)
            except dns.exception.DNSException:
                self._log.append((when, [f"!malformed:{data[12:].hex()}", "?", server]))
                return None
            question = query.question[0]
            qname, qtype = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
            self._log.append((when, [qname, qtype, server]))
            word = self._script.answer(qname, qtype, server, transport)
        if word == "timeout":
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        if word == "tc":
            reply.flags |= dns.flags.TC
        elif word in RCODES:
            reply.set_rcode(dns.rcode.from_text(word))
        elif word == "ok":
            found = "192.0.2.1" if qtype == "A" else "2001:db8::1"
            reply.answer.append(dns.rrset.from_text(question.name, 5, "IN", qtype, found))
        if word in ("nxdomain", "nodata"):
            soa = dns.rrset.from_text(".", 5, "IN", "SOA", "a. b. 1 1 1 1 1")
            reply.authority.append(soa)
        return reply.to_wire()


def bind(folder: Path) -> Path:
    """Files of our own over those of /etc, in this mount namespace; the resolv.conf."""
    for number, (path, text) in enumerate(FILES.items()):
        own = folder / f"etc-{number}"
        own.write_text(text)
        if Path(path).exists():
            subprocess.run(["mount", "--bind", str(own), path], check=True)
    return folder / "etc-0"


def main() -> None:
    job = json.load(sys.stdin)
    socket.sethostname("pod-0")  # one with a dot would be a search list
    resolv_conf = bind(Path(job["folder"]))
    servers = Servers()
    servers.start()
    results = []
    for run in job["runs"]:
        text = run["resolv_conf"].encode("utf-8", "surrogateescape")
        resolv_conf.write_bytes(text)
        servers.begin(Script(run["rules"], run["default"]), nameservers(run["resolv_conf"]))
        done = subprocess.run(
            run["command"], env=run["env"], capture_output=True, timeout=60, check=False
        )
        time.sleep(SETTLE_SECONDS)
        results.append({"queries": servers.asked(), "ok": done.returncode == 0})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
