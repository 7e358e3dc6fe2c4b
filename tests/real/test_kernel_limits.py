"""This kernel's own limits under real load, in namespaces and for users of the tests' own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from k8sdiag.readers.host import Host
from k8sdiag.sources import conntrack, ephemeral_ports, inotify, packet_drops, threads
from tests.real import kernelload
from tests.real.bed import need_root
from tests.real.conftest import required
from tests.real.netns import Namespace

MakeNamespace = Callable[..., Namespace]
NOBODY = str(Path(__file__).with_name("nobody.py"))
CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")


@pytest.fixture
def table() -> None:
    """A connection tracking table with next to nothing in it, so that nobody is hurt."""
    with required():
        need_root("connection tracking entries")
    if not CONNTRACK_MAX.is_file():
        pytest.skip("nf_conntrack is not loaded")
    if (conntrack.collect(Host(look_seconds=0)).entries or 0) > 100:
        pytest.skip("this machine tracks connections of its own")


def node(*arguments: str, prefix: list[str] | None = None) -> tuple[int, dict[str, str], set[str]]:
    """`k8sdiag node -o json`: exit code, the status of each check, the codes of findings."""
    command = [*(prefix or [sys.executable, "-m", "k8sdiag"]), "node", "-o", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    outcomes = json.loads(done.stdout)["outcomes"]
    found = {f["code"] for o in outcomes for f in o["findings"]}
    return done.returncode, {o["check"]: o["status"] for o in outcomes}, found


def test_a_connection_tracking_table_that_fills(table: None) -> None:
    before = conntrack.collect(Host(look_seconds=0)).entries or 0
    assert node("--check=conntrack") == (0, {"conntrack": "ok"}, set())
    with kernelload.lowered(CONNTRACK_MAX, before + 300):
        with kernelload.tracked(100) as taken:
            assert taken == 100
            assert node("--check=conntrack")[0] == 0

        with kernelload.tracked(400) as taken:
            assert 295 <= taken <= 310  # the kernel refuses the rest
            code, _, found = node("--check=conntrack")
        assert (code, found) == (1, {"conntrack/near-limit"})


def test_a_pod_s_own_count_is_not_the_node_s(table: None, make_netns: MakeNamespace) -> None:
    pod = make_netns()
    with kernelload.tracked(50):
        assert pod.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count").strip() == "0"
        inside = pod.command("unshare", "--pid", "--fork", "--mount-proc", sys.executable, NOBODY)
        chosen = ("conntrack", "ephemeral-ports", "listen-overflow", "inotify")
        code, states, _ = node(*(f"--check={c}" for c in chosen), prefix=inside)

    assert (code, states) == (3, dict.fromkeys(chosen, "skipped"))


def test_what_is_one_per_kernel_is_judged_in_any_pod(make_netns: MakeNamespace) -> None:
    chosen = ("file-handles", "softnet-drops")
    inside = make_netns().command(sys.executable, NOBODY)
    code, states, _ = node(*(f"--check={c}" for c in chosen), prefix=inside)

    assert (code, states) == (0, dict.fromkeys(chosen, "ok"))


def test_threads_are_counted_and_not_processes() -> None:
    counted = threads.collect(Host())
    listed = sum(1 for _ in Path("/proc").glob("[0-9]*/task/*"))

    assert abs(counted.threads - listed) < 30  # they come and go
    assert counted.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())


def test_an_inotify_limit_that_is_reached() -> None:
    uid, limit = 54_321, int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit > 1024:
        pytest.skip(f"{limit} instances are too many to make for a test")
    with required(), kernelload.watching(uid, limit + 1, 30) as (_, (made, watching, errno)):
        assert (made, errno) == (limit, 24)  # EMFILE
        users = {user.uid: user for user in inotify.collect(Host()).users}
        code, _, found = node("--check=inotify")

    assert (users[uid].instances, users[uid].watches) == (limit, watching)
    assert watching > 0
    assert (code, found) == (1, {"inotify/near-limit"})


def test_another_user_does_not_see_who_has_how_many() -> None:
    with required():
        need_root("another user's processes")
    code, states, _ = node("--check=inotify", prefix=[sys.executable, NOBODY])

    assert code == 3
    assert states["inotify"] in ("partial", "skipped")


# In the namespace, where the node's own network is played: the one file of the initial namespace
# that tells it is put there.
PLAY_NODE = """
import sys
sys.path.insert(0, {root!r})
from k8sdiag.readers.host import Host
Host.network, Host.own_network = "/proc/net", True
from k8sdiag.sources import {source} as source
print(source.collect(Host(look_seconds={seconds})).{field})
"""


def played(namespace: Namespace, source: str, field: str, seconds: float = 0) -> str:
    root = str(Path(__file__).parents[2])
    code = PLAY_NODE.format(root=root, source=source, field=field, seconds=seconds)
    return namespace.run(sys.executable, "-c", code).strip()


def test_a_listen_queue_that_overflows(make_netns: MakeNamespace) -> None:
    namespace = make_netns()
    assert played(namespace, "packet_drops", "listen") == "Drops(since_boot=0, delta=0, unknown='')"

    with kernelload.overflowing(namespace):
        # Each client tries again after a second, then after two.
        assert int(played(namespace, "packet_drops", "listen.delta", 2.0)) > 2

    assert int(played(namespace, "packet_drops", "listen.delta", 0.5)) == 0


def test_ports_that_run_out_towards_one_peer(make_netns: MakeNamespace) -> None:
    namespace = make_netns()
    namespace.run("sh", "-c", "echo 40000 40199 > /proc/sys/net/ipv4/ip_local_port_range")
    assert played(namespace, "ephemeral_ports", "busiest") == "None"

    with kernelload.connected(namespace, 150):
        busiest = played(namespace, "ephemeral_ports", "busiest")

    assert busiest == "PortUse(peer='127.0.0.1:8443', ports=150)"


def test_a_look_costs_microseconds() -> None:
    """What the node exporter reads at each scrape; CPU time, for other tests run beside this."""
    host = Host(look_seconds=0)
    for source in (conntrack, threads, ephemeral_ports):
        source.collect(host)
        start = time.process_time()
        for _ in range(100):
            source.collect(host)
        assert (time.process_time() - start) / 100 < 0.002, source.__name__


def test_a_look_at_drops_twice_waits_only_where_something_was_dropped() -> None:
    fact = packet_drops.collect(Host(look_seconds=0.1))

    dropped = fact.listen.since_boot or fact.softnet.since_boot
    assert fact.look_seconds == (0.1 if dropped else 0)
