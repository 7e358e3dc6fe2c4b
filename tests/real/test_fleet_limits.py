"""The limits of all nodes by a real Prometheus, a real node_exporter and `k8sdiag serve node`."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from k8sdiag.checks import conntrack, file_handles, listen_overflow, softnet_drops, threads
from k8sdiag.facts.fleet import FleetLimits
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Finding, Missing, Said, Severity, Unavailable, Unseen, Usage
from k8sdiag.readers import prometheus as door
from k8sdiag.readers.host import Host
from k8sdiag.sources import conntrack as own_conntrack
from k8sdiag.sources import file_handles as own_files
from k8sdiag.sources.node_limits_prometheus import collect
from tests.real import kernelload
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import answers, free_ports, need_root, program, running
from tests.real.conftest import required
from tests.real.netns import Namespace
from tests.real.prometheus import Prometheus

MakeNamespace = Callable[..., Namespace]
StartPrometheus = Callable[..., Prometheus]
NOT_HERE = Missing(reason="this is another machine", asked=False)
CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")


@contextmanager
def serving(
    folder: Path, name: str, command: Iterable[str | Path], address: str, **env: str
) -> Iterator[str]:
    (port,) = free_ports(1)
    target = f"{address}:{port}"
    listen = [*command, f"--web.listen-address={target}"]
    with running(name, listen, folder, env) as process:
        process.await_ready(answers(f"http://{target}/metrics", b"_build_info"))
        yield target


def ours(folder: Path, node: str) -> AbstractContextManager[str]:
    """`k8sdiag serve node` as on that node; its target for Prometheus."""
    command = (sys.executable, "-m", "k8sdiag", "serve", "node")
    return serving(folder, node, command, "127.0.0.1", NODE_NAME=node)


def theirs(
    folder: Path, host: str, namespace: Namespace | None = None
) -> AbstractContextManager[str]:
    """node_exporter on a host of that name, or in a pod; its target for Prometheus."""
    with required():
        need_root("a host name")
        exporter = program("prometheus-node-exporter")
    play = ("unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$0" "$@"', exporter)
    command = namespace.command(*play) if namespace else play
    return serving(folder, host, command, namespace.address if namespace else "127.0.0.1")


def scraping(*targets: tuple[str, str]) -> str:
    """A configuration for (target, its label `node` or none)."""
    jobs = "".join(
        f"\n- job_name: job{number}\n  scrape_interval: 1s\n  static_configs:\n"
        f"  - targets: ['{target}']\n    labels: {{{f'node: {node}' if node else ''}}}"
        for number, (target, node) in enumerate(targets)
    )
    return f"scrape_configs:{jobs}\n"


def awaited(
    reader: door.Prometheus, done: Callable[[FleetLimits], bool], seconds: float = 30
) -> FleetLimits:
    """What Prometheus has, once it has what is waited for."""
    deadline = time.monotonic() + seconds
    fleet = None
    while time.monotonic() < deadline:
        try:
            fleet = collect(reader)
        except Unavailable:
            fleet = None
        if fleet and done(fleet):
            return fleet
        time.sleep(0.3)
    raise AssertionError(fleet)


def count(fleet: FleetLimits, limit_id: str) -> int:
    return len(fleet.limits[limit_id].readings)


def cluster(*names: str) -> Nodes:
    return Nodes(nodes=tuple(Node(name=name, pool="workers") for name in names))


def test_each_node_is_judged_by_the_exporter_that_can_tell(
    tmp_path: Path, start_prometheus: StartPrometheus, make_netns: MakeNamespace
) -> None:
    pod = make_netns(cable=True)
    with (
        ours(tmp_path, "node-a") as a,
        theirs(tmp_path, "node-b") as b,
        theirs(tmp_path, "node-exporter-x7k2p", pod) as c,
    ):
        config = scraping((a, ""), (b, ""), (c, "node-c"))
        reader = door.Prometheus.open(start_prometheus(config=config).url)
        fleet = awaited(
            reader, lambda f: count(f, "file-handles") == 3 and count(f, "softnet-drops") == 2
        )
    nodes = cluster("node-a", "node-b", "node-c", "node-d")
    here = own_files.collect(Host())

    assert fleet.limits.keys() >= {"conntrack", "ephemeral-ports", "threads", "inotify-watches"}
    assert not [limit.gap for limit in fleet.limits.values() if limit.gap]
    told = {reading.names[0]: reading for reading in fleet.limits["file-handles"].readings}
    assert {name: reading.source for name, reading in told.items()} == {
        "node-a": "k8sdiag",
        "node-b": "node_exporter",
        "node-exporter-x7k2p": "node_exporter",
    }
    assert {reading.limit for reading in told.values()} <= {float(here.limit), 0.0}

    files = list(file_handles.check(NOT_HERE, fleet, nodes, file_handles.FileHandlesLimits()))
    assert [x.subject for x in files if isinstance(x, Unseen)] == ["1 of 4 nodes, e.g. node-d"]

    # Its own count is 0: what a pod sees of the network is not the node's.
    tracked = list(conntrack.check(NOT_HERE, fleet, nodes, conntrack.ConntrackLimits()))
    assert [x.subject for x in tracked if isinstance(x, Unseen)] == ["2 of 4 nodes, e.g. node-c"]
    (usage,) = (x for x in tracked if isinstance(x, Usage))
    assert usage.limit == own_conntrack.collect(Host(look_seconds=0)).limit

    some = list(threads.check(NOT_HERE, fleet, nodes, threads.ThreadsLimits()))
    assert [x.subject for x in some if isinstance(x, Usage)] == ["node/node-a"]
    assert [x.subject for x in some if isinstance(x, Unseen)] == ["3 of 4 nodes, e.g. node-b"]

    lost = list(softnet_drops.check(NOT_HERE, fleet, nodes, softnet_drops.SoftnetDropsLimits()))
    assert [x.subject for x in lost if isinstance(x, Unseen)] == ["2 of 4 nodes, e.g. node-a"]
    assert not [x for x in (*files, *tracked, *some, *lost) if isinstance(x, Finding)]


def test_a_listen_queue_that_overflows_elsewhere(
    tmp_path: Path, start_prometheus: StartPrometheus, make_netns: MakeNamespace
) -> None:
    node = make_netns(cable=True)
    limits = listen_overflow.ListenOverflowLimits(per_second=0.01)

    def judged(fleet: FleetLimits) -> list[Said]:
        return list(listen_overflow.check(NOT_HERE, fleet, cluster("node-b"), limits))

    with theirs(tmp_path, "node-b", node) as target:
        reader = door.Prometheus.open(start_prometheus(config=scraping((target, ""))).url)
        quiet = awaited(reader, lambda f: count(f, "listen-overflow") == 1)
        assert judged(quiet) == []
        with kernelload.overflowing(node):
            loud = awaited(reader, lambda f: bool(judged(f)))

    (finding,) = judged(loud)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.subject) == ("overflowing", "node/node-b")
    assert "within 600s" in finding.message


def test_a_connection_tracking_table_that_fills_elsewhere(
    tmp_path: Path, start_prometheus: StartPrometheus
) -> None:
    if not CONNTRACK_MAX.is_file():
        pytest.skip("nf_conntrack is not loaded")
    before = own_conntrack.collect(Host(look_seconds=0)).entries or 0
    if before > 100:
        pytest.skip("this machine tracks connections of its own")
    nodes = cluster("node-a", "node-b")

    def judged(fleet: FleetLimits) -> list[Finding]:
        spoken = conntrack.check(NOT_HERE, fleet, nodes, conntrack.ConntrackLimits())
        return [x for x in spoken if isinstance(x, Finding)]

    with ours(tmp_path, "node-a") as a, theirs(tmp_path, "node-b") as b:
        config = scraping((a, ""), (b, ""))
        reader = door.Prometheus.open(start_prometheus(config=config).url)
        assert judged(awaited(reader, lambda f: count(f, "conntrack") == 2)) == []
        with kernelload.lowered(CONNTRACK_MAX, before + 300), kernelload.tracked(400):
            loud = awaited(reader, lambda f: "2 of 2" in "".join(x.message for x in judged(f)))

    (finding,) = judged(loud)
    assert (finding.subject, finding.severity) == ("pool/workers", Severity.CRITICAL)
    assert finding.message.startswith("2 of 2 nodes, e.g. node-")
    assert finding.limit == before + 300


@pytest.fixture
def two_nodes(api_server: ApiServer) -> Iterator[Path]:
    """The kubeconfig of a cluster of node-a and node-b."""
    for name in ("node-a", "node-b"):
        api_server.admin.create("/api/v1/nodes", {"metadata": {"name": name}})
    yield api_server.kubeconfig("admin", [ADMINS])
    for name in ("node-a", "node-b"):
        api_server.admin.delete(f"/api/v1/nodes/{name}")


def test_an_audit_judges_both_nodes_and_does_not_believe_itself(
    tmp_path: Path, start_prometheus: StartPrometheus, two_nodes: Path
) -> None:
    ids = ("conntrack", "file-handles")
    chosen = [f"--check={i}" for i in ids]
    (port,) = free_ports(1)
    with ours(tmp_path, "node-a") as a, theirs(tmp_path, "node-b") as b:
        config = scraping((a, ""), (b, ""), (f"127.0.0.1:{port}", ""))
        url = start_prometheus(config=config).url
        reader = door.Prometheus.open(url)
        awaited(reader, lambda f: count(f, "file-handles") == 2)

        where = ["--kubeconfig", str(two_nodes), "--prometheus", url, *chosen]
        command = [sys.executable, "-m", "k8sdiag"]
        done = subprocess.run(
            [*command, "audit", *where, "-o", "json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        outcomes = json.loads(done.stdout)["outcomes"]
        assert {o["check"]: (o["status"], o.get("reason", "")) for o in outcomes} == dict.fromkeys(
            ids, ("ok", "")
        )

        serve = [*command, "serve", "cluster", f"--web.listen-address=127.0.0.1:{port}"]
        with running("cluster", [*serve, "--interval=1s", *where], tmp_path) as process:
            process.await_ready(answers(f"http://127.0.0.1:{port}/-/ready"))
            deadline = time.monotonic() + 30
            repeats = f'k8sdiag_usage{{instance="127.0.0.1:{port}",limit_id="conntrack"}}'
            while not reader.instant(repeats) and time.monotonic() < deadline:
                time.sleep(0.3)
            (repeated,) = reader.instant(repeats)
            fleet = collect(reader)

    assert repeated[0]["subject"].startswith("node/node-")
    assert [r.source for r in fleet.limits["conntrack"].readings] == ["k8sdiag", "node_exporter"]
