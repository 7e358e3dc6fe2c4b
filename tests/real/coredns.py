"""A real CoreDNS with a Corefile of one's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.bed import free_ports, program, running
from tests.real.netns import Namespace

# A Corefile names its ports by CoreDNS' own {$VARIABLE}s.
COREFILE = """\
.:{$DNS_PORT} {
    bind 127.0.0.1
    health 127.0.0.1:{$HEALTH_PORT}
    prometheus 127.0.0.1:{$METRICS_PORT}
    log
    hosts {
        192.0.2.1 example.com
    }
}
"""


@dataclass(frozen=True)
class CoreDns:
    """A running CoreDNS; the ports are what the Corefile's variables became."""

    port: int
    health_url: str
    metrics_url: str
    pid: int
    log: Path


@contextmanager
def started(
    folder: Path,
    corefile: str = COREFILE,
    *,
    port: int | None = None,
    namespace: Namespace | None = None,
) -> Iterator[CoreDns]:
    """A CoreDNS that listens, until the block ends.

    The C library asks no port but 53: for that give it a namespace of its own.
    """
    dns, health, metrics = free_ports(3)
    dns = port or dns
    path = folder / "Corefile"
    path.write_text(corefile)
    env = {"DNS_PORT": str(dns), "HEALTH_PORT": str(health), "METRICS_PORT": str(metrics)}
    command = [str(program("coredns")), "-conf", str(path)]
    if namespace:
        command = namespace.command(*command)
    with running("coredns", command, folder, env) as process:
        # It says its version once all of its servers listen.
        process.await_ready(lambda: "CoreDNS-" in process.log.read_text())
        yield CoreDns(
            port=dns,
            health_url=f"http://127.0.0.1:{health}/health",
            metrics_url=f"http://127.0.0.1:{metrics}/metrics",
            pid=process.pid,
            log=process.log,
        )
