"""The node exporter as it runs: a real Prometheus, promtool, and a pod without rights."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

import bcrypt
import pytest

from tests.real.bed import free_ports, need_program, need_root, running
from tests.real.conftest import required
from tests.real.prometheus import Prometheus
from tests.webfiles import certificates

NOBODY = str(Path(__file__).with_name("nobody.py"))
TESTDATA = Path(__file__).parents[1] / "testdata"
KUBEADM = TESTDATA / "kubelet-files" / "kubeadm"
RECORDED = TESTDATA / "neighbor" / "near" / "proc"
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
def exporting(folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """A node exporter of this host; its port and its process id."""
    (port,) = free_ports(1)
    with running("exporter", exporter(port, *options), folder) as process:
        process.await_ready(lambda: listens(port))
        yield port, process.pid


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def page(port: int) -> str:
    with _open(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


def asked(prometheus: Prometheus, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers, once it has something to answer."""
    deadline = time.monotonic() + 30
    while True:
        with _open(f"{prometheus.url}/api/v1/query?query={quote(query)}", timeout=10) as reply:
            found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
        if found:
            return found
        assert time.monotonic() < deadline, f"no answer to {query}"
        time.sleep(0.2)


def test_promtool_has_nothing_to_say(tmp_path: Path, promtool: Path) -> None:
    with exporting(tmp_path) as (port, _):
        metrics = page(port)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert 20 < len(re.findall(r"^[^#]", metrics, re.MULTILINE)) <= 120


def test_a_real_prometheus_scrapes_it_over_tls_with_a_password(
    tmp_path: Path, start_prometheus: Callable[..., Prometheus]
) -> None:
    """And Prometheus has for each limit a usage and its bound, to be divided as they are."""
    authority = certificates(tmp_path)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, "
        f"client_auth_type: RequireAndVerifyClientCert}}\nbasic_auth_users: {{joe: {hashed}}}\n"
    )
    client = authority.issue("prometheus")
    scheme = {
        "scheme": "https",
        "tls_config": {
            "ca_file": str(authority.ca),
            "cert_file": str(client.cert),
            "key_file": str(client.key),
        },
        "static_configs": [],
        "scrape_interval": "1s",
    }
    with exporting(tmp_path, f"--web.config.file={tmp_path / 'web.yml'}") as (port, _):
        target = {"targets": [f"127.0.0.1:{port}"]}
        right = {"basic_auth": {"username": "joe", "password": "secret"}, "job_name": "right"}
        wrong = {"basic_auth": {"username": "joe", "password": "wrong"}, "job_name": "wrong"}
        jobs = [{**scheme, **job, "static_configs": [target]} for job in (right, wrong)]
        prometheus = start_prometheus(config=json.dumps({"scrape_configs": jobs}))

        up = {s["metric"]["job"]: s["value"][1] for s in asked(prometheus, "count by (job) (up)")}
        assert up.keys() <= {"right", "wrong"}
        ratios = asked(prometheus, 'k8sdiag_usage{job="right"} / k8sdiag_usage_limit')
        (refused,) = asked(prometheus, 'up{job="wrong"}')

    assert "neighbor-ipv4" in {series["metric"]["limit_id"] for series in ratios}
    assert refused["value"][1] == "0"


def test_ten_scrapes_at_once_are_each_whole(tmp_path: Path) -> None:
    with exporting(tmp_path) as (port, _), ThreadPoolExecutor(10) as pool:
        pages = list(pool.map(lambda _: page(port), range(30)))

    names = [sorted(re.findall(r"^[a-z][^ ]*", found, re.MULTILINE)) for found in pages]
    assert len(names[0]) > 20
    assert all(each == names[0] for each in names)
    assert all(len(set(each)) == len(each) for each in names)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="this host"),
        pytest.param(
            [f"--path.rootfs={KUBEADM}", f"--path.procfs={RECORDED}"], id="a kubelet's YAML"
        ),
    ],
)
def test_it_stays_small(options: list[str], tmp_path: Path) -> None:
    with exporting(tmp_path, *options) as (port, pid):
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
    env = {"KUBERNETES_SERVICE_HOST": "192.0.2.1"}  # as in each pod
    with running("exporter", command, tmp_path, env) as process:
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
    success = "k8sdiag_scrape_collector_success"
    seen = {k: v for k, v in found.items() if k.startswith(success)}
    assert seen[f'{success}{{collector="neighbor_tables"}}'] == "1.0"
    # What is the pod's own and not the node's is unknown, and no number of it is given.
    blind = {"boot_thresholds": "neighbor-boot", "ephemeral_ports": "ephemeral-ports"}
    for collector, check in blind.items():
        assert seen[f'{success}{{collector="{collector}"}}'] == "0.0"
        assert found[f'k8sdiag_check_success{{check="{check}"}}'] == "0.0"
        assert not [k for k in found if k.startswith("k8sdiag_usage") and f'"{check}"' in k]
