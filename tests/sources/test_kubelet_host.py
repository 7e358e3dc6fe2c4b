import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8sdiag.facts.kubelet import HostKubelet
from k8sdiag.readers.host import Host
from k8sdiag.sources._kubelet import Layer, duration_seconds, effective, flags
from k8sdiag.sources.kubelet_host import collect

FILES = Path(__file__).parents[1] / "testdata/kubelet-files"
SECRET = "abcdef.0123456789abcdef"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A host that runs nothing of Kubernetes, whose name is node-1."""
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/hostname").write_text("node-1\n")
    (tmp_path / "proc/stat").write_text("btime 1700000000\n")
    run(tmp_path, "systemd", pid=1)
    return tmp_path


def lay_out(tree: Path, distribution: str) -> None:
    shutil.copytree(FILES / distribution, tree, dirs_exist_ok=True)


def run(tree: Path, name: str, *arguments: str, pid: int = 812) -> None:
    """A process as /proc tells it (proc_pid_stat(5))."""
    folder = tree / f"proc/{pid}"
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S 1 {pid} {pid} 0 -1 " + "0 " * 45 + "\n")
    (folder / "status").write_text(f"Name:\t{name}\n")
    (folder / "cmdline").write_bytes(b"".join(a.encode() + b"\0" for a in (name, *arguments)))


def look(tree: Path) -> HostKubelet:
    return collect(Host(procfs=tree / "proc", rootfs=tree))


@contextmanager
def no_rights(path: Path) -> Iterator[None]:
    """Nobody may read the file; as root that takes giving up being root."""
    path.chmod(0)
    try:
        if os.geteuid() != 0:
            yield
            return
        for folder in (path, *path.parents):
            if folder.is_dir() and folder != Path(folder.anchor):
                folder.chmod(folder.stat().st_mode | 0o111)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    finally:
        path.chmod(0o644)


def test_a_host_that_is_no_node_is_seen_to_be_none(tree: Path) -> None:
    found = look(tree)

    assert (found.node, found.running, found.settings) == ("node-1", False, None)
    assert found.gaps == {}


def test_a_kubeconfig_is_no_configuration(tree: Path) -> None:
    (tree / "etc/kubernetes").mkdir(parents=True)
    shutil.copy(FILES / "kubeadm/etc/kubernetes/kubelet.conf", tree / "etc/kubernetes/kubelet.conf")

    assert look(tree).settings is None


def test_processes_that_can_not_be_seen_are_not_none(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    monkeypatch.setattr("k8sdiag.readers.host._INITIAL_PID_NAMESPACE", 1)

    found = collect(host)

    assert found.running is None
    assert "hostPID" in found.unseen


def test_a_tree_without_processes_tells_only_of_files(tree: Path) -> None:
    lay_out(tree, "openshift")
    shutil.rmtree(tree / "proc/1")

    found = look(tree)

    assert found.running is None
    assert found.unseen.endswith("holds no processes")
    assert found.settings is not None
    assert found.settings.slots == float("inf")


@pytest.mark.parametrize(
    ("distribution", "arguments", "slots", "source"),
    [
        (
            "kubeadm",
            ["--config=/var/lib/kubelet/config.yaml"],
            1,
            "default",
        ),
        (
            "eks",
            [
                "--config",
                "/etc/kubernetes/kubelet/config.json",
                "--config-dir=/etc/kubernetes/kubelet/config.json.d",
            ],
            10,
            "/etc/kubernetes/kubelet/config.json",
        ),
        (
            "aks",
            ["--config=/etc/default/kubeletconfig.json", "--serialize-image-pulls=false"],
            float("inf"),
            "--serialize-image-pulls",
        ),
        (
            "openshift",
            ["--config=/etc/kubernetes/kubelet.conf"],
            float("inf"),
            "/etc/kubernetes/kubelet.conf",
        ),
        (
            "rke2",
            ["--config-dir=/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"],
            float("inf"),
            "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/00-rke2-defaults.conf",
        ),
    ],
)
def test_running(
    tree: Path, distribution: str, arguments: list[str], slots: float, source: str
) -> None:
    lay_out(tree, distribution)
    run(tree, "kubelet", *arguments)

    found = look(tree)

    assert found.running
    assert found.settings is not None
    assert found.settings.slots == slots
    assert found.settings.sources["serialize_image_pulls"] == source
    assert found.gaps == {}


@pytest.mark.parametrize(
    ("distribution", "slots"),
    [
        ("kubeadm", 1),
        ("eks", 10),
        ("aks", float("inf")),
        ("openshift", float("inf")),
        ("rke2", float("inf")),
        ("microk8s", float("inf")),
    ],
)
def test_stopped_but_installed(tree: Path, distribution: str, slots: float) -> None:
    lay_out(tree, distribution)

    found = look(tree)

    assert found.running is False
    assert found.settings is not None
    assert found.settings.slots == slots
    assert found.gaps == {}


def test_flags_of_the_environment_files(tree: Path) -> None:
    lay_out(tree, "kubeadm")

    settings = look(tree).settings

    assert settings is not None
    assert (settings.registry_pull_qps, settings.registry_burst) == (20, 40)
    assert settings.sources["registry_burst"] == "--registry-burst"


def test_k3s_hides_its_flags(tree: Path) -> None:
    lay_out(tree, "k3s")
    run(tree, "k3s-server")

    found = look(tree)

    assert found.running
    assert found.settings is not None
    assert found.settings.slots == float("inf")
    assert "k3s hides its command line" in found.gaps["flags of the kubelet in k3s"]


def test_k3s_before_it_had_drop_ins_is_unknown_not_default(tree: Path) -> None:
    run(tree, "k3s-agent")

    found = look(tree)

    assert found.settings is not None
    assert found.settings.slots is None


def test_microk8s(tree: Path) -> None:
    lay_out(tree, "microk8s")
    run(tree, "kubelite", "--start-control-plane=true")

    found = look(tree)

    assert found.running
    assert found.settings is not None
    assert found.settings.sources["serialize_image_pulls"] == "--serialize-image-pulls"
    assert found.gaps == {}


def test_the_name_of_the_node_and_nothing_secret_of_the_command_line(tree: Path) -> None:
    run(tree, "kubelet", "--hostname-override=ip-10-0-0-7", f"--token={SECRET}", "--v", SECRET)

    found = look(tree)

    assert found.node == "ip-10-0-0-7"
    assert SECRET not in repr(found)


def test_a_file_that_only_root_reads_is_a_gap_with_the_mend(tree: Path) -> None:
    lay_out(tree, "kubeadm")
    run(tree, "kubelet", "--config=/var/lib/kubelet/config.yaml", "--registry-qps=20")

    with no_rights(tree / "var/lib/kubelet/config.yaml"):
        found = look(tree)

    assert found.settings is not None
    assert found.settings.slots is None  # not the default: the file may set it
    assert found.settings.registry_pull_qps == 20  # whatever the file says
    assert found.gaps["/var/lib/kubelet/config.yaml"].endswith("Permission denied: run as root")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a: [", "not YAML: line 1", id="cut off"),
        pytest.param("- a\n", "holds no KubeletConfiguration", id="a list"),
        pytest.param(None, "does not exist", id="no file"),
    ],
)
def test_a_damaged_file_is_a_gap(tree: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tree / "config.yaml").write_text(text)
    run(tree, "kubelet", "--config=/config.yaml")

    found = look(tree)

    assert found.settings is not None
    assert found.settings.slots is None
    assert why in found.gaps["/config.yaml"]


def test_a_drop_in_that_can_not_be_read_leaves_only_what_stands_above_it(tree: Path) -> None:
    folder = tree / "conf.d"
    folder.mkdir()
    (folder / "10-a.conf").write_text("serializeImagePulls: false\nregistryPullQPS: 1")
    (folder / "20-b.conf").write_text("a: [")
    (folder / "30-c.conf").write_text("registryPullQPS: 50")
    run(tree, "kubelet", "--config-dir=/conf.d/")

    found = look(tree)

    assert found.settings is not None
    assert found.settings.serialize_image_pulls is None
    assert found.settings.registry_pull_qps == 50
    assert list(found.gaps) == ["/conf.d/20-b.conf"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--registry-qps=20"], {"registry-qps": "20"}),
        (["--registry-qps", "20"], {"registry-qps": "20"}),
        (["--registry_qps=20"], {"registry-qps": "20"}),
        (["--registry-qps=1", "--registry-qps=2"], {"registry-qps": "2"}),
        (["--serialize-image-pulls"], {"serialize-image-pulls": "true"}),
        (["--serialize-image-pulls", "false"], {"serialize-image-pulls": "true"}),
        (["--registry-qps"], {"registry-qps": ""}),
        (["--kube-api-qps=9", "--v", "2", "registry-qps=3"], {}),
    ],
)
def test_flags(arguments: list[str], found: dict[str, str]) -> None:
    assert flags(["/usr/bin/kubelet", *arguments]) == found


def test_a_value_of_the_wrong_type_is_unknown_and_said() -> None:
    settings, wrong = effective(
        Layer("/f", {"serializeImagePulls": "maybe", "registryBurst": [1]}),
        [],
        {"registry-qps": "many"},
    )

    assert settings.slots is None
    assert settings.registry_burst is None
    assert settings.registry_pull_qps is None
    assert list(wrong) == [
        "serialize_image_pulls of /f",
        "registry_pull_qps of --registry-qps",
        "registry_burst of /f",
    ]


def test_a_bound_implies_parallel_pulls_in_the_file_but_not_in_a_drop_in() -> None:
    bound = {"maxParallelImagePulls": 5}

    in_file, _ = effective(Layer("/f", bound), [], {})
    in_dropin, _ = effective(Layer("/f", {}), [Layer("/d", bound)], {})

    assert in_file.slots == 5
    # The kubelet fills in the file's defaults first, and then refuses this pair.
    assert in_dropin.serialize_image_pulls is True


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m0s", 60), ("1h2m3.5s", 3723.5), ("300ms", 0.3), ("0", 0), (".5s", 0.5), ("5us", 5e-6)],
)
def test_go_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "1m 2s", "m", "1d", "-1s"])
def test_what_is_no_go_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration_seconds(text)
