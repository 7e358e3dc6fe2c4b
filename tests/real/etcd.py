"""A real etcd: one member or several, with TLS or without, of three generations."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.bed import Process, answers, free_ports, program, running, scratch
from tests.real.pki import Authority

PROGRAMS = {"3.4": "etcd-3.4", "3.5": "etcd-3.5", "3.6": "etcd"}


@dataclass(frozen=True)
class Member:
    name: str
    endpoint: str
    metrics_url: str  # plain http, as kubeadm has it: /metrics and /health
    process: Process

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(frozen=True)
class EtcdCluster:
    """A running etcd. The files are a client's; they are None without TLS."""

    members: tuple[Member, ...]
    ca: Path | None
    cert: Path | None
    key: Path | None
    authority: Authority | None  # issues further client certificates

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    @property
    def metrics_urls(self) -> list[str]:
        return [member.metrics_url for member in self.members]

    def stop_member(self, index: int) -> None:
        self.members[index].process.stop()


@contextmanager
def started(
    folder: Path,
    *,
    version: str = "3.6",
    tls: bool = True,
    members: int = 1,
    quota_bytes: int | None = None,
    extra_args: Sequence[str] = (),
    versions: Sequence[str] = (),
    ports: Sequence[Sequence[int]] = (),
    data: Path | None = None,
    through: Sequence[str | Path] = (),
) -> Iterator[EtcdCluster]:
    """An etcd whose every member answers /health, until the block ends.

    Clients must show a certificate when there is TLS; peers talk plainly, on the loopback.
    `versions` are of the members, if they differ. `ports` (client, peer and metrics of each) give
    the members the identities that they had before; `data` is kept, and used where it is there.
    `through` is a command that runs each member's.
    """
    etcds = [program(PROGRAMS[v]) for v in versions or [version] * members]
    scheme = "https" if tls else "http"
    authority = Authority(folder / "pki", "etcd-ca") if tls else None
    client = authority.issue("etcd-client") if authority else None
    ports = ports or [free_ports(3) for _ in etcds]
    names = [f"etcd-{number}" for number in range(len(etcds))]
    peers = [f"http://127.0.0.1:{peer}" for _, peer, _ in ports]
    shared = ["--initial-cluster", ",".join(map("=".join, zip(names, peers, strict=True)))]
    if authority:
        server = authority.issue("etcd-server")
        shared += ["--cert-file", str(server.cert), "--key-file", str(server.key)]
        shared += ["--client-cert-auth", "--trusted-ca-file", str(authority.ca)]
    if quota_bytes is not None:
        shared += ["--quota-backend-bytes", str(quota_bytes)]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        data = data or stack.enter_context(scratch(folder / "data"))
        begun = []
        for etcd, name, peer, (client_port, _, metrics_port) in zip(
            etcds, names, peers, ports, strict=True
        ):
            endpoint = f"{scheme}://127.0.0.1:{client_port}"
            metrics_url = f"http://127.0.0.1:{metrics_port}"
            command: list[str | Path] = [*through, etcd, "--name", name, "--data-dir", data / name]
            command += ["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--listen-metrics-urls", metrics_url, *shared, *extra_args]
            process = stack.enter_context(running(name, command, folder))
            begun.append(Member(name, endpoint, metrics_url, process))
        for member in begun:
            healthy = answers(f"{member.metrics_url}/health", b'"health":"true"')
            member.process.await_ready(healthy)
        yield EtcdCluster(
            members=tuple(begun),
            ca=authority.ca if authority else None,
            cert=client.cert if client else None,
            key=client.key if client else None,
            authority=authority,
        )
