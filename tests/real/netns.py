"""Network namespaces of our own, with or without a cable to this host.

A namespace here has no entry in /run/netns: a process holds it, and when that ends the kernel
takes the namespace away with all that is in it, also after kill -9 of the test run.
"""

import ipaddress
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.real.bed import Process, StartError, need_program, need_root, running
from tests.real.components import MissingError

BENCHMARKING = ipaddress.IPv4Network("198.18.0.0/15")  # RFC 2544: never on a real network
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Namespace:
    """A network namespace. The addresses are the cable's ends; empty without a cable."""

    name: str
    holder: Process
    address: str
    host_address: str

    @property
    def path(self) -> Path:
        """What setns(2) takes."""
        return Path(f"/proc/{self.holder.pid}/ns/net")

    def command(self, *command: str | Path) -> list[str]:
        """The command line that runs this command in the namespace (same process id)."""
        return _within(self.holder, *command)

    def run(self, *command: str | Path) -> str:
        """What a command in the namespace prints. Raises RuntimeError with its complaint."""
        return _run(self.command(*command))


@contextmanager
def made(folder: Path, *, cable: bool = False) -> Iterator[Namespace]:
    """A network namespace with its loopback up, until the block ends.

    With `cable` a veth pair joins it to this host, each end with an address of a /30 of its own.
    Raises MissingError where no namespace can be made, as in most containers.
    """
    need_root("a network namespace")
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        need_program(program, package)
    number = next(_numbers)
    name = f"k8sdiag-{os.getpid()}-{number}"
    with ExitStack() as stack:
        try:
            holder = stack.enter_context(_held(name, folder))
            ends = stack.enter_context(_cable(number, holder)) if cable else ("", "")
        except (StartError, RuntimeError) as error:
            last = str(error).splitlines()[-1]
            raise MissingError(f"no network namespace can be made here: {last}") from error
        yield Namespace(name, holder, *ends)


@contextmanager
def _held(name: str, folder: Path) -> Iterator[Process]:
    """The process that holds a new namespace."""
    ours = Path("/proc/self/ns/net").readlink()
    with running(name, ["unshare", "--net", "sleep", "infinity"], folder) as holder:

        def is_in() -> bool:
            with suppress(OSError):  # it ended: await_ready says so
                return Path(f"/proc/{holder.pid}/ns/net").readlink() != ours
            return False

        holder.await_ready(is_in)
        _run(_within(holder, "ip", "link", "set", "lo", "up"))
        yield holder


@contextmanager
def _cable(number: int, holder: Process) -> Iterator[tuple[str, str]]:
    """A veth pair into the holder's namespace; the addresses there and here."""
    here, there = _free_addresses()
    link = f"kd{os.getpid()}-{number}"  # an interface's name has at most 15 characters
    _run(["ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", str(holder.pid)])
    try:
        _run(["ip", "address", "add", f"{here}/30", "dev", link])
        _run(["ip", "link", "set", link, "up"])
        _run(_within(holder, "ip", "address", "add", f"{there}/30", "dev", "eth0"))
        _run(_within(holder, "ip", "link", "set", "eth0", "up"))
        yield there, here
    finally:
        _run(["ip", "link", "delete", link])


def _within(holder: Process, *command: str | Path) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--", *map(str, command)]


def _free_addresses() -> tuple[str, str]:
    """Both hosts of a /30 that this machine does not use; runs side by side begin elsewhere."""
    words = _run(["ip", "-oneline", "-4", "address"]).split()
    used = [ipaddress.IPv4Interface(word).ip for word in words if word.startswith("198.")]
    nets = [*BENCHMARKING.subnets(new_prefix=30)]
    start = os.getpid() % len(nets)
    for net in nets[start:] + nets[:start]:
        if not any(ip in net for ip in used):
            first, second = net.hosts()
            return str(first), str(second)
    raise MissingError(f"a free network in {BENCHMARKING}: all are in use")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
