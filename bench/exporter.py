"""What the node exporter costs a node, next to Debian's prometheus-node-exporter in the same run.

    python -m bench.exporter [--scrapes N]

Needs root and `tests/real/components.py prometheus-node-exporter`. Once with the kernel's neighbor
tables as they are and once with 60,000 entries more, in a network namespace of its own; the
thresholds are raised for that and restored whatever happens. Prints a Markdown table and says
which target is met; exits 1 when one is not.
"""

import argparse
import http.client
import os
import re
import ssl
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import bcrypt

from tests.real import netns
from tests.real.bed import Process, free_ports, program, running
from tests.webfiles import certificates

TARGET_KIB = 32 * 1024  # of peak RSS: 5,000 nodes pay it 5,000 times
ENTRIES = 60_000
RAISED = (131_072, 196_608, 262_144)
THRESHOLDS = [Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{n}") for n in (1, 2, 3)]
# Waits for the end of its stdin, which comes also when this process is killed, and restores.
RESTORE = "cat >/dev/null; while [ $# -gt 0 ]; do echo $2 > $1; shift 2; done"
OURS, THEIRS, SECURED = "k8sdiag", "prometheus-node-exporter", "k8sdiag, TLS and a password"
# As Prometheus asks.
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@dataclass
class Target:
    """A running exporter, and the connection that scrapes come over."""

    process: Process
    connection: http.client.HTTPConnection
    headers: dict[str, str]

    def scrape(self) -> bytes:
        self.connection.request("GET", "/metrics", headers=self.headers)
        reply = self.connection.getresponse()
        body = reply.read()
        assert reply.status == 200, body
        return body

    def cpu_seconds(self) -> float:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


@contextmanager
def started(name: str, folder: Path) -> Iterator[Target]:
    (port,) = free_ports(1)
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [sys.executable, "-m", "k8sdiag", "serve", "node", listen]
    headers = {"Accept": ACCEPT}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    if name == THEIRS:
        command = [str(program("prometheus-node-exporter")), listen]
    if name == SECURED:
        ca = certificates(folder).ca
        hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
        tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}"
        (folder / "web.yml").write_text(f"{tls}\nbasic_auth_users: {{joe: {hashed}}}\n")
        command.append(f"--web.config.file={folder / 'web.yml'}")
        headers["Authorization"] = "Basic " + b64encode(b"joe:secret").decode()
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    with running(name.partition(",")[0], command, folder) as process:
        target = Target(process, connection, headers)

        def answers() -> bool:
            try:
                return bool(target.scrape())
            except OSError:
                connection.close()
                return False

        process.await_ready(answers)
        yield target
        connection.close()


@contextmanager
def entries(folder: Path, count: int) -> Iterator[None]:
    """So many reachable neighbors more in the kernel's IPv4 table."""
    if not count:
        yield
        return
    before = {str(path): path.read_text().strip() for path in THRESHOLDS}
    words = [word for pair in before.items() for word in pair]
    keeper = subprocess.Popen(
        ["sh", "-c", RESTORE, "sh", *words], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        for path, value in zip(reversed(THRESHOLDS), reversed(RAISED), strict=True):
            path.write_text(str(value))
        with netns.made(folder) as namespace:
            fill(namespace, count)
            yield
    finally:
        keeper.communicate()
    assert {str(path): path.read_text().strip() for path in THRESHOLDS} == before


def fill(namespace: netns.Namespace, count: int) -> None:
    namespace.run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
    namespace.run("ip", "address", "add", "10.200.255.254/16", "dev", "va")
    for link in ("va", "vb"):
        namespace.run("ip", "link", "set", link, "up")
    lines = (
        f"neigh add 10.200.{a}.{b} lladdr 02:00:00:00:00:01 dev va nud reachable\n"
        for a, b in islice(product(range(250), range(1, 251)), count)
    )
    batch = namespace.command("ip", "-force", "-batch", "-")
    subprocess.run(batch, input="".join(lines), text=True, check=True)


def measured(folder: Path, count: int, scrapes: int) -> Iterator[tuple[str, int, float, int]]:
    """Name, peak RSS in KiB, CPU seconds a scrape and series of each exporter, one by one."""
    for name in (OURS, THEIRS, SECURED):
        with started(name, Path(tempfile.mkdtemp(dir=folder))) as target:
            for _ in range(10):
                page = target.scrape()
            if name == OURS:
                seen = re.findall(rb'k8sdiag_neighbor_entries{family="ipv4"} (\S+)', page)
                assert float(seen[0]) >= count, "the entries are not there"
            before = target.cpu_seconds()
            for _ in range(scrapes):
                page = target.scrape()
            cost = (target.cpu_seconds() - before) / scrapes
            series = sum(not line.startswith(b"#") for line in page.splitlines())
            yield name, target.peak_kib(), cost, series


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the node exporter.")
    parser.add_argument("--scrapes", type=int, default=300)
    options = parser.parse_args()
    met = True
    print("| neighbor entries | exporter | peak RSS, MiB | CPU a scrape, ms | series |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for count in (0, ENTRIES):
            with entries(folder, count):
                found = {}
                for name, peak, cost, series in measured(folder, count, options.scrapes):
                    found[name] = (peak, cost)
                    row = f"{peak / 1024:.1f} | {cost * 1000:.2f} | {series}"
                    print(f"| {count:,} | {name} | {row} |", flush=True)
            met &= found[OURS][0] <= TARGET_KIB and found[OURS][1] <= found[THEIRS][1]
    print(
        f"\ntarget (k8sdiag without TLS: at most {TARGET_KIB // 1024} MiB, and no more CPU than "
        f"{THEIRS}): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
