"""Threads of all processes of this host, and how many its kernel allows; see proc(5)."""

from k8sdiag.facts.kernel import Threads
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host


def collect(host: Host) -> Threads:
    loadavg = host.read("/proc/loadavg")  # "0.20 0.18 0.12 1/812 11206": 812 threads
    try:
        threads = int(loadavg.split()[3].partition("/")[2])
    except (IndexError, ValueError):
        raise Unavailable(f"{host.path('/proc/loadavg')} is not as Linux writes it") from None
    pid_max, gaps = None, {}
    if host.own_pid_max:
        pid_max = host.number("/proc/sys/kernel/pid_max")
    else:
        gaps["the node's kernel.pid_max"] = "each PID namespace has its own: run with hostPID"
    return Threads(
        host=host.name,
        threads=threads,
        threads_max=host.number("/proc/sys/kernel/threads-max"),
        pid_max=pid_max,
        gaps=gaps,
        provenance="/proc/loadavg, kernel.threads-max and kernel.pid_max",
    )
