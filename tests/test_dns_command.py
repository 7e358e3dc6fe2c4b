"""`dns trace` as a user meets it; it asks no network here. Live traces: tests/real."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.test_cli import k8sdiag, said

POD = (
    "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\n"
    "options ndots:5\n"
)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(POD)
    return path


def test_one_resolver_has_a_row_for_each_query(conf: Path) -> None:
    done = k8sdiag("dns", "trace", "www.example.com", "--resolv-conf", conf, "--resolver", "musl")

    assert (done.returncode, done.stderr) == (0, "")
    rows = [row.split() for row in done.stdout.splitlines() if "10.96.0.10" in row]
    assert [row[0] for row in rows] == list("12345678")
    assert [row[-1] for row in rows] == ["nxdomain"] * 6 + ["ok"] * 2
    assert "musl: finds www.example.com. after 8 queries; written so, 2 would do" in done.stdout
    assert "nothing was asked" in done.stdout


def test_a_file_s_resolvers_stand_in_columns_and_musl_fails(conf: Path) -> None:
    conf.write_text(POD.replace("ndots:5", "ndots:2"))
    done = k8sdiag(
        *("dns", "trace", "db.pay.svc", "--resolv-conf", conf),
        *("--assume", "db.pay.svc.cluster.local=ok"),
    )

    assert done.returncode == 1
    assert "glibc    musl    go" in done.stdout
    assert "musl: fails after 2 queries" in done.stdout
    assert "Mend: write the full name, db.pay.svc.cluster.local." in done.stdout


def test_json_is_for_programs(conf: Path) -> None:
    done = k8sdiag("dns", "trace", "db", "--resolv-conf", conf, "-o", "json", "--family", "inet")
    found = json.loads(done.stdout)

    assert (found["kind"], found["family"]) == ("DnsTrace", "AF_INET")
    assert [walk["resolver"] for walk in found["predicted"]] == ["glibc", "musl", "go"]
    assert found["predicted"][0]["steps"][0] == {
        "qname": "db.shop.svc.cluster.local.",
        "qtype": "A",
        "server": "10.96.0.10",
        "transport": "udp",
        "answer": "nxdomain",
    }
    assert found["live"] == found["probes"] == found["findings"] == []


def test_markdown_is_a_table(conf: Path) -> None:
    done = k8sdiag("dns", "trace", "a|b.c", "--resolv-conf", conf, "-o", "markdown")

    assert "| QUERY " in done.stdout
    assert done.returncode == 1  # no hostname, for glibc and Go


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param(["--resolv-conf", "/no/such"], "/no/such", id="no file"),
        pytest.param(["--resolver", "bind"], "'bind' is not one of", id="resolver"),
        pytest.param(["--assume", "x=perhaps"], "must be NAME=ANSWER", id="answer"),
        pytest.param(["--assume", "ok"], "must be NAME=ANSWER", id="no name"),
        pytest.param(
            ["--resolv-conf", "/dev/null", "--pod", "a/b"], "drop --pod", id="file and pod"
        ),
        pytest.param(["--node-resolv-conf", "/dev/null"], "--node-resolv-conf is for", id="node"),
        pytest.param(["--pod", "a/b", "-n", "c"], "not in --namespace c", id="two namespaces"),
        pytest.param(["--timeout", "0"], "0.1<=x<=30", id="timeout"),
        pytest.param(["--pod", "a/b", "--kubeconfig", "none"], "none", id="kubeconfig"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(args: list[str], says: str, tmp_path: Path) -> None:
    done = k8sdiag("dns", "trace", "db", *args)

    assert says in said(done)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_walk_without_end_is_a_mistake_of_the_file(conf: Path) -> None:
    conf.write_text(POD + "options attempts:9999999\n")
    done = k8sdiag(
        *("dns", "trace", "db", "--resolv-conf", conf, "--resolver", "go"),
        *("--assume", "db=timeout", "--assume", "db.shop.svc.cluster.local=timeout"),
    )

    assert "lower attempts" in said(done)
    assert done.returncode == 2


def test_without_an_api_server_no_pod_is_traced() -> None:
    done = k8sdiag("dns", "trace", "db", "--pod", "shop/web")

    assert "no kubeconfig" in said(done)
    assert (done.returncode, done.stdout) == (3, "")


def test_what_cannot_be_asked_is_not_judged(conf: Path) -> None:
    conf.write_text("nameserver fe80::1\n")  # on which link, it does not say
    done = k8sdiag("dns", "trace", "db.shop", "--live", "--resolv-conf", conf)

    assert "no query left this host" in said(done)
    assert (done.returncode, done.stdout) == (3, "")


def test_hostile_bytes_of_the_command_line_reach_no_terminal(conf: Path) -> None:
    conf.write_bytes(b"nameserver 10.96.0.10\nsearch \xff\x1b[31m.example\noptions ndots:5\n")
    done = subprocess.run(
        [sys.executable, "-m", "k8sdiag", "dns", "trace", b"\xfe\x1b[1m", "--resolv-conf", conf],
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )

    assert done.returncode in (0, 1)
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


def test_ctrl_c_ends_a_live_trace_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        try:
            mute.bind(("127.9.9.53", 53))  # hears, and never answers
        except PermissionError:
            pytest.skip("needs port 53 of the loopback")
        conf = tmp_path / "resolv.conf"
        conf.write_text("nameserver 127.9.9.53\n")
        command = [sys.executable, "-m", "k8sdiag", "dns", "trace", "db.shop", "--live"]
        command += ["--resolv-conf", str(conf), "--timeout", "30"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            mute.settimeout(60)
            mute.recv(512)
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=20)

    assert (process.returncode, out) == (130, b"")
    assert errors.strip() == b"k8sdiag: interrupted; nothing was changed"
