"""The node exporter as it runs: a real Prometheus, promtool, and a pod without rights."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from tests.real.bed import answers, free_ports, need_program, need_root, running
from tests.real.conftest import required
from tests.real.prometheus import Prometheus

NOBODY = str(Path(__file__).with_name("nobody.py"))
MAX_RSS_KIB = 32 * 1024
_open = build_opener(ProxyHandler({})).open

ASK = """
import sys, time
from urllib.request import ProxyHandler, build_opener
ask = build_opener(ProxyHandler({})).open
for last in range(100, -1, -1):
    try:
        print(ask(sys.argv[1], timeout=10).read().decode())
        break
    except OSError:
        if not last:
            raise
        time.sleep(0.1)
"""


def exporter(port: int, *options: str) -> list[str]:
    listen = f"--web.listen-address=127.0.0.1:{port}"
    return [sys.executable, "-m", "k8sdiag", "serve", "node", listen, *options]


@contextmanager
def exporting(folder: Path) -> Iterator[tuple[int, int]]:
    """A node exporter of this host; its port and its process id."""
    (port,) = free_ports(1)
    with running("exporter", exporter(port), folder) as process:
        process.await_ready(answers(f"http://127.0.0.1:{port}/-/ready"))
        yield port, process.pid


def page(port: int) -> str:
    with _open(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


def test_promtool_has_nothing_to_say(tmp_path: Path, promtool: Path) -> None:
    with exporting(tmp_path) as (port, _):
        metrics = page(port)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert 20 < len(re.findall(r"^[^#]", metrics, re.MULTILINE)) <= 120


def test_a_real_prometheus_scrapes_it(
    tmp_path: Path, start_prometheus: Callable[..., Prometheus]
) -> None:
    with exporting(tmp_path) as (port, _):
        target = f"static_configs: [{{targets: ['127.0.0.1:{port}']}}]"
        config = f"scrape_configs: [{{job_name: node, scrape_interval: 1s, {target}}}]"
        prometheus = start_prometheus(config=config)
        query = "k8sdiag_neighbor_entries / k8sdiag_neighbor_gc_thresh3"
        found: list[dict[str, dict[str, str]]] = []
        deadline = time.monotonic() + 30
        while not found and time.monotonic() < deadline:
            time.sleep(0.2)
            with _open(f"{prometheus.url}/api/v1/query?query={quote(query)}", timeout=10) as reply:
                found = json.load(reply)["data"]["result"]

    assert "ipv4" in {series["metric"]["family"] for series in found}


def test_it_stays_small(tmp_path: Path) -> None:
    with exporting(tmp_path) as (port, pid):
        for _ in range(50):
            page(port)
        status = Path(f"/proc/{pid}/status").read_text()

    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    assert int(peak[1]) <= MAX_RSS_KIB


def test_a_pod_without_rights_serves_the_table(tmp_path: Path) -> None:
    with required():
        need_root("a pod-like sandbox")
        need_program("nsenter", "util-linux")
    (port,) = free_ports(1)
    command = [sys.executable, NOBODY, "--pod", *exporter(port)[3:]]
    with running("exporter", command, tmp_path) as process:
        # Its loopback is its own: one has to be inside to ask.
        ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{process.pid}/ns/net")
        process.await_ready(lambda: theirs.readlink() != ours.readlink())
        inside = ["nsenter", f"--net={theirs}", "--", sys.executable, "-c", ASK]
        done = subprocess.run(
            [*inside, f"http://127.0.0.1:{port}/metrics"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        status = Path(f"/proc/{process.pid}/status").read_text()

    assert done.returncode == 0, done.stderr + process.tail()
    assert re.search(r"^Uid:\s+65534", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    found = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if "{" in line)
    sysctl = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text()
    assert float(found['k8sdiag_neighbor_gc_thresh3{family="ipv4"}']) == int(sysctl)
    assert found['k8sdiag_check_success{check="neighbor-table"}'] == "1.0"
