"""What we make of containerd's files is what `containerd config dump` says of them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.facts.runtime import Runtime
from k8sdiag.pulls.runtimes import release
from k8sdiag.readers import gobuild
from k8sdiag.readers.host import Host
from k8sdiag.sources import runtime_host
from k8sdiag.sources._containerd import effective
from k8sdiag.sources._kubelet import duration_seconds
from k8sdiag.sources._runtime_files import with_imports
from tests.real.bed import need_root, program, running
from tests.real.conftest import required

VERSIONS = {"containerd": "1.6.20", "containerd-2": "2.3.7"}
OLD = "io.containerd.grpc.v1.cri"
IMAGES = "io.containerd.cri.v1.images"
TRANSFER = "io.containerd.transfer.v1.local"

# The files of a case: the first is the one that containerd is given.
PLAIN = {"config.toml": "version = 2\n"}
VERSION_1 = {
    "config.toml": """
[plugins.cri]
  max_concurrent_downloads = 5
  [plugins.cri.containerd]
    snapshotter = "native"
    discard_unpacked_layers = true
    [plugins.cri.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""
}
VERSION_2 = {
    "config.toml": f"""
version = 2
[plugins."{OLD}"]
  max_concurrent_downloads = 8
  [plugins."{OLD}".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."{OLD}".containerd]
    snapshotter = "native"
    discard_unpacked_layers = true
    [plugins."{OLD}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""
}
NO_RUNTIMES = {
    "config.toml": f"""
version = 2
[plugins."{OLD}"]
  max_concurrent_downloads = 8
  [plugins."{OLD}".containerd]
    snapshotter = "native"
    discard_unpacked_layers = true
"""
}
DROP_INS = {
    "config.toml": f"""
version = 2
imports = ["DIR/conf.d/*.toml"]
[plugins."{OLD}"]
  max_concurrent_downloads = 8
  [plugins."{OLD}".containerd]
    discard_unpacked_layers = true
    [plugins."{OLD}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
""",
    "conf.d/10-mirror.toml": f"""
version = 2
[plugins."{OLD}".registry]
  config_path = "/etc/containerd/certs.d"
""",
    "conf.d/20-more.toml": f"""
version = 2
imports = ["deeper/x.toml"]
[plugins."{OLD}"]
  stats_collect_period = 20
""",
    "conf.d/deeper/x.toml": f"""
version = 2
[plugins."{OLD}"]
  max_concurrent_downloads = 0
""",
    "conf.d/ignored.conf": "no TOML at all",
}
CIRCLE = {
    "config.toml": f"""
version = 2
imports = ["DIR/other.toml"]
[plugins."{OLD}"]
  max_concurrent_downloads = 4
""",
    "other.toml": f"""
version = 2
imports = ["DIR/config.toml"]
[plugins."{OLD}"]
  max_concurrent_downloads = 6
""",
}
NEW_NAMES_IN_OLD = {
    "config.toml": f"""
version = 2
[plugins."{IMAGES}"]
  max_concurrent_downloads = 12
  discard_unpacked_layers = true
"""
}
VERSION_3 = {
    "config.toml": f"""
version = 3
[plugins."{IMAGES}"]
  discard_unpacked_layers = true
  image_pull_progress_timeout = "1m30s"
  [plugins."{IMAGES}".registry]
    config_path = "/a:/b"
[plugins."{TRANSFER}"]
  max_concurrent_downloads = 9
  max_concurrent_unpacks = 4
"""
}
OLD_TABLE_IN_3 = {
    "config.toml": f"""
version = 3
[plugins."{IMAGES}"]
  max_concurrent_downloads = 10
  [plugins."{IMAGES}".registry]
    config_path = "/a"
[plugins."{OLD}"]
  max_concurrent_downloads = 7
  [plugins."{OLD}".registry.mirrors."docker.io"]
    endpoint = ["https://mirror.invalid"]
"""
}
OLD_TABLE_IN_4 = {
    "config.toml": OLD_TABLE_IN_3["config.toml"].replace("version = 3", "version = 4")
}
MIXED = {
    "config.toml": f"""
version = 4
imports = ["DIR/conf.d/*.toml"]
[plugins."{IMAGES}"]
  discard_unpacked_layers = true
  snapshotter = "native"
""",
    "conf.d/a.toml": f"""
version = 3
[plugins."{IMAGES}"]
  discard_unpacked_layers = false
[plugins."{TRANSFER}"]
  max_concurrent_downloads = 6
  concurrent_layer_fetch_buffer = 8388608
""",
    "conf.d/b.toml": """
[plugins.cri]
  image_pull_progress_timeout = "9m"
  [plugins.cri.containerd]
    snapshotter = "btrfs"
""",
}
BOTH = [PLAIN, VERSION_1, VERSION_2, NO_RUNTIMES, DROP_INS, CIRCLE, NEW_NAMES_IN_OLD]
ONLY_2 = [VERSION_3, OLD_TABLE_IN_3, OLD_TABLE_IN_4, MIXED]
NAMES = {id(v): k.lower() for k, v in globals().items() if k.isupper() and isinstance(v, dict)}


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("DIR", str(folder)))
    return folder / "config.toml"


def dump(component: str, path: Path) -> dict[str, Any]:
    with required():
        containerd = program(component)
    command: list[str | Path] = [containerd, "-c", path, "config", "dump"]
    said = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=path.parent)
    plugins: dict[str, Any] = tomllib.loads(said.stdout.decode())["plugins"]
    return plugins


def ours(component: str, path: Path) -> Runtime:
    version = VERSIONS[component]
    of = release(version)
    assert of
    runtime, wrong = effective(with_imports(Host(), "", str(path)), version, of)
    assert wrong == {}
    return runtime


@pytest.mark.parametrize("files", BOTH, ids=lambda files: NAMES[id(files)])
def test_containerd_1(files: dict[str, str], tmp_path: Path) -> None:
    path = lay_out(tmp_path, files)
    plugins = dump("containerd", path)
    # Of a file of version 1 it shows the old table beside the defaults of the one it names now.
    told = plugins["cri"] if "cri" in plugins else plugins[OLD]

    found = ours("containerd", path)

    assert found.max_concurrent_downloads == told["max_concurrent_downloads"]
    assert found.snapshotter == told["containerd"]["snapshotter"]
    assert found.discard_unpacked_layers == told["containerd"]["discard_unpacked_layers"]
    assert found.config_path == told["registry"]["config_path"]
    assert (found.downloads_per, found.local_pulls) == ("image", None)
    assert "image_pull_progress_timeout" not in told
    assert found.progress_timeout_seconds == 0


@pytest.mark.parametrize("files", [*BOTH, *ONLY_2], ids=lambda files: NAMES[id(files)])
def test_containerd_2(files: dict[str, str], tmp_path: Path) -> None:
    path = lay_out(tmp_path, files)
    plugins = dump("containerd-2", path)
    images, transfer = plugins[IMAGES], plugins[TRANSFER]

    found = ours("containerd-2", path)

    pulls = images if found.local_pulls else transfer
    told = images["image_pull_progress_timeout"]
    assert found.max_concurrent_downloads == pulls["max_concurrent_downloads"]
    assert found.layer_fetch_buffer_bytes == pulls["concurrent_layer_fetch_buffer"]
    assert found.snapshotter == images["snapshotter"]
    assert found.discard_unpacked_layers == images["discard_unpacked_layers"]
    assert found.progress_timeout_seconds == duration_seconds(told)
    # It fills in this default after what the dump shows.
    assert found.config_path == (
        images["registry"]["config_path"] or "/etc/containerd/certs.d:/etc/docker/certs.d"
    )
    if not found.local_pulls:
        assert found.max_concurrent_unpacks == transfer["max_concurrent_unpacks"]
    local = images["discard_unpacked_layers"] or images["max_concurrent_downloads"] != 3
    assert found.local_pulls == bool(local or images["registry"].get("mirrors"))


@pytest.mark.parametrize("component", VERSIONS)
def test_what_a_default_file_writes_down_has_its_effect(component: str, tmp_path: Path) -> None:
    with required():
        containerd = program(component)
    said = subprocess.run([containerd, "config", "default"], capture_output=True, check=True)
    (tmp_path / "config.toml").write_bytes(said.stdout)

    assert ours(component, tmp_path / "config.toml").unused == ()


def test_the_program_tells_its_version() -> None:
    with required():
        assert gobuild.version(program("containerd-2"), "containerd") == "2.3.7"
        # Debian builds without what would tell it.
        assert gobuild.version(program("containerd"), "containerd") == ""


LOCAL = {
    "": "",
    "DisableSnapshotAnnotations": "disable_snapshot_annotations = false",
    "DiscardUnpackedLayers": "discard_unpacked_layers = true",
    "MaxConcurrentDownloads": "max_concurrent_downloads = 10",
    "ImagePullWithSyncFs": "image_pull_with_sync_fs = true",
    "Registry.Mirrors": "registry.mirrors.'docker.io'.endpoint = ['https://mirror.invalid']",
    "Registry.Configs": "registry.configs.'a.invalid'.auth.username = 'nobody'",
    "Registry.Auths": "registry.auths.'https://a.invalid'.username = 'nobody'",
}


@pytest.mark.parametrize("name", LOCAL, ids=[name or "none of them" for name in LOCAL])
def test_the_settings_that_make_pulls_local_are_those_that_containerd_logs(
    name: str, tmp_path: Path
) -> None:
    text = f"""
version = 3
root = "DIR/root"
state = "DIR/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "DIR/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."{IMAGES}"]
  snapshotter = "native"
  {LOCAL[name]}
"""
    path = lay_out(tmp_path, {"config.toml": text})
    with required():
        need_root("containerd")
        containerd = program("containerd-2")
    with running("containerd", [containerd, "-c", path], tmp_path) as process:
        process.await_ready(lambda: "successfully booted" in process.log.read_text())
        told = re.findall(r"Found '(\S+)' in CRI config", process.log.read_text())

    found = ours("containerd-2", path)

    # It makes configs of auths first.
    assert told == ([name.replace("Auths", "Configs")] if name else [])
    assert found.local_pulls == bool(name)
    keys = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()] if name else []
    assert list(found.local_because) == keys


def test_the_running_program_is_found_with_its_file_and_version(tmp_path: Path) -> None:
    text = f"""
version = 3
root = "DIR/root"
state = "DIR/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "DIR/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."{TRANSFER}"]
  max_concurrent_downloads = 9
"""
    path = lay_out(tmp_path, {"config.toml": text})
    with required():
        need_root("containerd")
        (tmp_path / "containerd").symlink_to(program("containerd-2"))
    with running("containerd", [tmp_path / "containerd", "-c", path], tmp_path) as process:
        process.await_ready(lambda: "successfully booted" in process.log.read_text())
        # Its process alone: others may run on this machine.
        (tmp_path / "proc/sys/kernel").mkdir(parents=True)
        (tmp_path / "proc/sys/kernel/hostname").write_text("node-1")
        (tmp_path / "proc/stat").symlink_to("/proc/stat")
        for pid in (1, process.pid):
            (tmp_path / f"proc/{pid}").symlink_to(f"/proc/{pid}")

        found = runtime_host.collect(Host(procfs=tmp_path / "proc", rootfs=Path("/")))

    assert found.unseen == {}
    assert found.runtime
    assert (found.runtime.name, found.runtime.version) == ("containerd", "2.3.7")
    assert found.runtime.max_concurrent_downloads == 9
    assert found.runtime.sources["max_concurrent_downloads"] == str(path)
