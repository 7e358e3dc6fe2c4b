"""How long puts to a real etcd take while k8sdiag looks at it.

    python -m bench.etcd [--seconds N] [--rounds N] [--events N]

Three members, an API server on them, and a writer that puts 100 bytes a hundred times a second.
In turns nobody looks, audits run one after the other, and `etcd top --scan` runs. What is measured
is etcd: its members have one CPU for themselves, all else shares the others, and the writer goes
before all of that, which takes root. One more turn audits a recording: it asks nobody, so what that
costs is the machine's own noise.
Prints a Markdown table; exits 1 when the 99th percentile during a look is above 1.5 times that of
the turns in which nobody looks.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from tests.real import apiserver
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.etcd_writes import puts

ROOT = Path(__file__).parents[1]
TARGET = 1.5
PAUSE_SECONDS = 0.01
ETCD_CPU, *CPUS = sorted(os.sched_getaffinity(0))
# A pod's way into a node; one event in five is of a pull, as in a cluster where pods come and go.
REASONS = ("Scheduled", "Pulling", "Pulled", "Created", "Started")
QUIET, AUDIT, SCAN = "nobody looks", "audit", "etcd top --scan"
RECORDING = "audit of a recording"


def fill(server: ApiServer, events: int) -> None:
    """What etcd holds most of in a large cluster, and what a count walks over."""
    for number in range(events):
        event = {
            "metadata": {"name": f"e{number}"},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
            "reason": REASONS[number % len(REASONS)],
            "message": 'Successfully pulled image "r.example/a:1" in 20s (30s including waiting)',
            "source": {"component": "kubelet", "host": f"node-{number % 200}"},
        }
        server.admin.create("/api/v1/namespaces/default/events", event)


def look(server: ApiServer, kubeconfig: Path, *words: str) -> subprocess.Popen[bytes]:
    """Begin a run of k8sdiag that asks etcd too."""
    etcd = server.etcd
    return apart(
        *words,
        *("--kubeconfig", kubeconfig, "--etcd-endpoints", ",".join(etcd.endpoints)),
        *("--etcd-cacert", etcd.ca, "--etcd-cert", etcd.cert, "--etcd-key", etcd.key),
    )


def apart(*words: object) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    # Without the writer's priority.
    command = ["chrt", "--other", "0", sys.executable, "-m", "k8sdiag", *words]
    return subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def turn(
    put: Callable[[bytes, bytes], None],
    seconds: float,
    begin: Callable[[], subprocess.Popen[bytes]] | None,
) -> tuple[list[float], int]:
    """Seconds of each put, and how many looks ended well meanwhile."""
    took: list[float] = []
    looks = 0
    running = begin() if begin else None
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        start = time.monotonic()
        put(b"/bench/%d" % (number % 50), bytes(100))
        took.append(time.monotonic() - start)
        number += 1
        time.sleep(PAUSE_SECONDS)
        if running and begin and (code := running.poll()) is not None:
            assert code in (0, 1, 3), f"k8sdiag ended with {code}"
            looks += 1
            running = begin()
    if running:
        running.terminate()
        running.wait()
    return took, looks


def leave_etcd_alone(server: ApiServer) -> None:
    """On its CPU; and let nobody make this writer wait on the others."""
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), CPUS)
        os.setpriority(os.PRIO_PROCESS, int(task.name), 0)
    os.sched_setaffinity(0, CPUS)
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def percentile_99(took: list[float]) -> float:
    return quantiles(took, n=100)[98]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000, help="to fill etcd with before")
    options = parser.parse_args()
    if not CPUS or os.geteuid():
        parser.error("this needs root and two CPUs, one of them for etcd alone")
    # Of all that is started from here; what else the machine has to do waits for it.
    os.sched_setaffinity(0, {ETCD_CPU})
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    turns: dict[str, list[list[float]]] = {QUIET: [], RECORDING: [], AUDIT: [], SCAN: []}
    looks = dict.fromkeys(turns, 0)
    with (
        tempfile.TemporaryDirectory(prefix="k8sdiag-bench-") as folder,
        apiserver.started(Path(folder) / "bed", members=3) as server,
    ):
        fill(server, options.events)
        leave_etcd_alone(server)
        commands: dict[str, Callable[[], subprocess.Popen[bytes]] | None] = {
            QUIET: None,
            RECORDING: lambda: apart("audit", "--demo"),
            AUDIT: lambda: look(server, server.kubeconfig("audit", [ADMINS]), "audit"),
            # Nobody may read its metrics, so all is counted in etcd.
            SCAN: lambda: look(server, server.kubeconfig("scan"), "etcd", "top", "--scan"),
        }
        with puts(server.etcd) as put:
            for _ in range(options.rounds):
                for name, begin in commands.items():
                    took, ended = turn(put, options.seconds, begin)
                    turns[name].append(took)
                    looks[name] += ended
    quiet = median(percentile_99(took) for took in turns[QUIET])
    print("| | puts | looks | p50 ms | p99 ms, median of rounds | times quiet |")
    print("|---|---|---|---|---|---|")
    missed = False
    for name, rounds in turns.items():
        every = [seconds for took in rounds for seconds in took]
        p99 = median(map(percentile_99, rounds))
        if name in (AUDIT, SCAN):
            missed |= p99 > TARGET * quiet or not looks[name]
        print(
            f"| {name} | {len(every)} | {looks[name]} | {median(every) * 1000:.2f} "
            f"| {p99 * 1000:.2f} | {p99 / quiet:.2f} |"
        )
    met = "MISSED" if missed else "met"
    print(f"\n{options.events:,} events in etcd; target: {TARGET} times: {met}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
