"""A real etcd whose fsyncs take long: the kernel holds up every one of them."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks._etcd_pace import judge
from k8sdiag.model import Finding
from k8sdiag.readers.etcd import Etcd
from k8sdiag.sources import etcd_performance
from tests.real.bed import need_program
from tests.real.etcd import EtcdCluster
from tests.real.etcd_writes import puts

LOOK_SECONDS = 8.0


def slowed(seconds: float) -> list[str | Path]:
    """What runs a program so that each fdatasync of it takes longer by so much."""
    need_program("strace", "strace")
    slow = f"inject=fdatasync:delay_exit={seconds * 1e6:.0f}"
    return [shutil.which("strace") or "", "-f", "-qq", "-o", "/dev/null", "-e", slow]


def judged(cluster: EtcdCluster) -> list[Finding]:
    """What is said of the disk after some seconds in which somebody writes all the time."""
    door = Etcd.open(cluster.endpoints[0])
    door.look_seconds = LOOK_SECONDS
    enough = Event()
    with puts(cluster) as put:

        def write() -> None:
            while not enough.is_set():
                put(b"/registry/x", bytes(100))
                time.sleep(0.01)

        writer = Thread(target=write)
        writer.start()
        try:
            fact = etcd_performance.collect(door)
        finally:
            enough.set()
            writer.join()
    return [x for x in judge(fact.members, EtcdHealth()) if isinstance(x, Finding)]


def test_a_quick_disk(start_etcd: Callable[..., EtcdCluster]) -> None:
    assert judged(start_etcd(tls=False)) == []


@pytest.mark.parametrize(("seconds", "severity"), [(0.15, "warning"), (0.7, "critical")])
def test_a_slow_disk(start_etcd: Callable[..., EtcdCluster], seconds: float, severity: str) -> None:
    (found,) = judged(start_etcd(tls=False, through=slowed(seconds)))

    assert (found.code, found.subject, found.severity.value) == (
        "slow-disk",
        "etcd/etcd-0",
        severity,
    )
    assert found.observed is not None
    # Only the buckets of a histogram are known: twice as much at most.
    assert seconds < found.observed < 2.1 * seconds
