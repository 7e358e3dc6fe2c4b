"""The command line as a user meets it: a process, its output, its exit code."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {"kubernetes", "grpc", "rich", "yaml", "google", "psutil", "tabulate", "dns"}


def k8sdiag(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # No kubeconfig of the person who runs the tests, no proxy, no configuration.
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run(
        [sys.executable, "-m", "k8sdiag", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr; a traceback is never part of it."""
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig whose server nobody listens on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    path = tmp_path / "kubeconfig"
    path.write_text(
        f"""apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: "https://127.0.0.1:{port}"}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]
users: [{{name: lab, user: {{token: secret-token}}}}]
"""
    )
    return path


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['k8sdiag', '--help']\n"
        "from k8sdiag.cli import cli\n"
        "cli(standalone_mode=False)\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in done.stdout.partition("MODULES")[2].split()}

    assert "k8sdiag" in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param(["audit", "--check", "etcd-quotas"], "did you mean etcd-quota?", id="check"),
        pytest.param(["audit", "--skip", "zzz"], "`k8sdiag checks` lists them", id="skip"),
        pytest.param(["audit", "-o", "xml"], "unknown format 'xml'", id="format"),
        pytest.param(["audit", "-o", "json=/no/where/r.json"], "no folder /no/where", id="folder"),
        pytest.param(["audit", "-o", "json=/tmp"], "/tmp: is a folder", id="output folder"),
        pytest.param(["audit", "-o", "json="], "names no file", id="output without a name"),
        pytest.param(
            ["audit", "-o", "json", "-o", "table"], "all but one a file", id="two outputs"
        ),
        pytest.param(
            ["audit", "--demo", "--context", "x"], "drop --context", id="demo and context"
        ),
        pytest.param(["audit", "--demo", "s.json.gz"], "drop --demo", id="demo and snapshot"),
        pytest.param(["audit", "none.json.gz"], "No such file", id="no snapshot"),
        pytest.param(["audit", "--config", "none.toml"], "none.toml: cannot be read", id="config"),
        pytest.param(["audit", "--kubeconfig", "none"], "none", id="no kubeconfig"),
        pytest.param(["audit", "--fail-on", "info"], "'info' is not one of", id="fail-on"),
        pytest.param(["node", "--path.procfs", "/no/proc"], "/no/proc", id="procfs"),
        pytest.param(["node", "--check", "dns-search"], "on a host alone", id="no host check"),
        pytest.param(["explain", "dns"], "there is no check 'dns'", id="explain"),
        pytest.param(["snapshot", "/no/where/s.json.gz"], "/no/where", id="snapshot folder"),
        pytest.param(["frobnicate"], "No such command", id="command"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(args: list[str], says: str) -> None:
    done = k8sdiag(*args)

    assert says in said(done)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "not YAML (line 1): expected the node content", id="not YAML"),
        pytest.param("", "kubeconfig", id="empty"),
        pytest.param("contexts: 7\nclusters: []", "not a kubeconfig", id="of another shape"),
        pytest.param(
            "current-context: gone\n"
            "contexts: [{name: there, context: {cluster: there, user: me}}]\n"
            'clusters: [{name: there, cluster: {server: "https://127.0.0.1:1"}}]\n'
            "users: [{name: me, user: {}}]",
            "gone",
            id="a context that is gone",
        ),
    ],
)
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    done = k8sdiag("audit", KUBECONFIG=str(path))

    assert says in said(done)
    assert done.returncode == 2


def test_a_kubeconfig_without_a_cluster_is_none(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("kind: Config")
    done = k8sdiag("audit", "--check", "dns-search", KUBECONFIG=str(path))

    assert f"{path} has no cluster in it" in done.stdout
    assert done.returncode == 3


def test_an_unknown_context_is_named(kubeconfig: Path) -> None:
    done = k8sdiag("audit", "--kubeconfig", kubeconfig, "--context", "prod")

    assert "prod" in said(done)
    assert done.returncode == 2


def test_an_unreachable_server_skips_the_cluster_and_says_so(kubeconfig: Path) -> None:
    done = k8sdiag("audit", "--kubeconfig", kubeconfig, "-o", "json")
    report = json.loads(done.stdout)

    assert done.returncode in (1, 3)  # 1 when this very host has a critical finding
    dns = next(o for o in report["outcomes"] if o["check"] == "dns-search")
    assert dns["status"] == "skipped"
    assert "refused" in dns["reason"]
    assert "secret-token" not in done.stdout + done.stderr


def test_a_failing_credential_plugin_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(
        """current-context: lab
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
users:
- name: lab
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/plugin}}
"""
    )
    done = k8sdiag("audit", "--kubeconfig", path, "--check", "dns-search")

    assert said(done).startswith("k8sdiag: the cluster was not seen: the credential plugin of")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)


def test_an_unreachable_server_is_said_at_once(kubeconfig: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json.gz"
    audit = k8sdiag("audit", "--kubeconfig", kubeconfig)
    snapshot = k8sdiag("snapshot", file, "--kubeconfig", kubeconfig)
    forecast = k8sdiag("forecast", "--nodes", "9", "--kubeconfig", kubeconfig)

    assert said(audit).startswith("k8sdiag: the cluster was not seen: the API server 127.0.0.1:")
    assert audit.stderr.count("\n") == 1
    assert (snapshot.returncode, file.is_file()) == (3, True)  # of this host, it tells
    assert forecast.returncode == 3
    assert said(forecast).count("Connection refused") == 1


def test_a_cluster_without_nodes_has_no_other_size(tmp_path: Path) -> None:
    demo = Path(__file__).parents[1] / "k8sdiag" / "demo.json.gz"
    recording = json.loads(gzip.decompress(demo.read_bytes()))
    recording["facts"]["Nodes"]["nodes"] = []
    (tmp_path / "s.json").write_text(json.dumps(recording))
    done = k8sdiag("forecast", tmp_path / "s.json", "--nodes", "9")

    assert said(done) == "k8sdiag: the cluster's nodes are not known: it has none"
    assert done.returncode == 3


def test_without_a_kubeconfig_this_host_is_judged_and_the_rest_is_named() -> None:
    done = k8sdiag("audit", "-o", "json")
    outcomes = {o["check"]: o for o in json.loads(done.stdout)["outcomes"]}

    assert done.returncode in (1, 3)
    assert outcomes["neighbor-table"]["usages"]
    assert outcomes["dns-search"]["status"] == "skipped"
    assert "kubeconfig" in outcomes["dns-search"]["reason"]
    assert "--etcd-endpoints" in outcomes["etcd-quota"]["reason"]


def test_a_snapshot_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "s.json.gz"
    path.write_bytes(gzip.compress(b'{"kind": "Snapshot"' * 100)[:-30])
    done = k8sdiag("audit", path)

    assert "cut off or damaged" in said(done)
    assert done.returncode == 2


def test_a_snapshot_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"kind": "Snapshot", "apiVersion": "k8sdiag.io/v2", "version": "2.0"}')
    done = k8sdiag("audit", path)

    assert "written by k8sdiag 2.0" in said(done)
    assert done.returncode == 2


def test_reports_go_where_they_are_sent(tmp_path: Path) -> None:
    prom = tmp_path / "k8sdiag.prom"
    done = k8sdiag(
        "audit",
        "--demo",
        "-o",
        "table",
        "-o",
        f"json={tmp_path / 'r.json'}",
        "-o",
        f"prometheus={prom}",
    )

    assert done.returncode == 1
    assert done.stdout.count("NEAREST LIMIT") == 1
    assert json.loads((tmp_path / "r.json").read_text())["kind"] == "Report"
    assert prom.stat().st_mode & 0o777 == 0o644  # node_exporter runs as another user
    assert sorted(p.name for p in tmp_path.iterdir()) == ["k8sdiag.prom", "r.json"]


def test_the_demo_finds_all_four_failures_and_the_report_is_always_the_same() -> None:
    first, second = (k8sdiag("audit", "--demo", "-o", "json") for _ in range(2))
    report = json.loads(first.stdout)

    assert first.stdout == second.stdout
    assert first.returncode == 1
    found = {o["check"] for o in report["outcomes"] if o["findings"]}
    assert found >= {"etcd-quota", "dns-search", "neighbor-table", "image-pull"}
    assert report["nearestLimits"]


@pytest.mark.parametrize("command", ["audit --demo", "checks", "--help"])
def test_a_reader_that_goes_away_is_no_error_and_no_finding(command: str) -> None:
    line = f"({sys.executable} -m k8sdiag {command}; echo $? >&2) | true"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)  # noqa: S602

    assert done.stderr == "141\n"


@pytest.mark.parametrize("command", ["audit --demo", "checks", "explain etcd-quota", "--version"])
def test_a_full_disk_is_one_line(command: str) -> None:
    line = f"{sys.executable} -m k8sdiag {command} > /dev/full"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602

    assert said(done) == "k8sdiag: standard output cannot be written: No space left on device"
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_who_closes_standard_output_gets_the_code_and_the_files(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    line = f"{sys.executable} -m k8sdiag audit --demo -o table -o json={file} >&-"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602

    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(file.read_text())["kind"] == "Report"


def test_what_stdout_can_not_take_is_in_the_files_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    line = f"{sys.executable} -m k8sdiag audit --demo -o table -o json={file} > /dev/full"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602

    assert done.returncode == 2
    assert json.loads(file.read_text())["kind"] == "Report"


def test_what_a_locale_has_no_letters_for_is_escaped_and_in_files_it_is_there(
    tmp_path: Path,
) -> None:
    demo = Path(__file__).parents[1] / "k8sdiag" / "demo.json.gz"
    recording = json.loads(gzip.decompress(demo.read_bytes()))
    (tmp_path / "s.json").write_text(json.dumps(recording | {"cluster": "日本"}))
    file = tmp_path / "r.md"
    outputs = ["-o", "table", "-o", f"markdown={file}"]
    done = k8sdiag("audit", tmp_path / "s.json", *outputs, PYTHONIOENCODING="latin-1")

    assert (done.returncode, done.stderr) == (1, "")
    assert "Cluster:  \\u65e5\\u672c\n" in done.stdout
    assert "日本" in file.read_text(encoding="utf-8")


def test_a_file_that_can_not_be_written_costs_no_other_format(tmp_path: Path) -> None:
    file = tmp_path / "r.md"
    outputs = ["-o", "json=/dev/full", "-o", f"markdown={file}", "-o", "table"]
    done = k8sdiag("audit", "--demo", *outputs)

    assert said(done) == "k8sdiag: /dev/full: cannot be written: No space left on device"
    assert (done.returncode, "NEAREST LIMIT" in done.stdout) == (2, True)
    assert file.read_text().startswith("# k8sdiag")


def test_ctrl_c_is_one_line_and_130(tmp_path: Path) -> None:
    with socket.socket() as mute:  # accepts, never answers: the audit waits
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        path = tmp_path / "kubeconfig"
        server = f"http://127.0.0.1:{mute.getsockname()[1]}"
        path.write_text(
            f"""current-context: lab
clusters: [{{name: lab, cluster: {{server: "{server}"}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]
users: [{{name: lab, user: {{}}}}]
"""
        )
        command = [sys.executable, "-m", "k8sdiag", "audit", "--kubeconfig", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            mute.settimeout(60)
            connection, _ = mute.accept()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            connection.close()

    assert process.returncode == 130
    assert errors.decode().strip() == "k8sdiag: interrupted; nothing was changed"


def test_the_checks_are_listed_with_their_titles() -> None:
    lines = k8sdiag("checks").stdout.splitlines()

    assert any(line.startswith("etcd-quota ") for line in lines)


def test_a_page_is_printed() -> None:
    assert k8sdiag("explain", "etcd-quota").stdout.startswith("# etcd-quota\n")


def test_the_role_is_the_smallest_that_the_checks_need() -> None:
    everything = k8sdiag("rbac").stdout
    dns = k8sdiag("rbac", "--check", "dns-search").stdout

    assert '"pods"' in dns
    assert "/proxy" not in everything
    assert '"nodes/proxy"' in k8sdiag("rbac", "--kubelet-configz", "proxy").stdout
    directly = k8sdiag("rbac", "--kubelet-configz", "direct").stdout
    assert '"nodes/configz"' in directly
    assert '"nodes/proxy"' not in directly
    assert '"nodes/configz"' not in everything
    with_coredns = k8sdiag("rbac", "--coredns-metrics", "proxy").stdout
    assert '"pods/proxy"' in with_coredns
    assert '"nodes/proxy"' not in with_coredns
    assert "secrets" not in everything


def test_the_version_is_that_of_the_package() -> None:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    version = k8sdiag("--version").stdout.split()[1]

    assert f'\nversion = "{version}"\n' in pyproject.read_text()
