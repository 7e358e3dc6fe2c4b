"""The runtimes' processes, files and versions on a host; cri-dockerd's as its manual has them.

What containerd says of its settings is in tests/real/test_containerd_config.py; those of CRI-O and
dockerd are in test_crio.py and test_docker.py.
"""

from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.pulls import runtimes
from k8sdiag.readers import gobuild
from k8sdiag.sources._containerd import effective
from k8sdiag.sources._containerd_files import File
from tests import hosttree
from tests.hosttree import look, run, write

SECRET = "abcdef.0123456789abcdef"
OLD = "io.containerd.grpc.v1.cri"
IMAGES = "io.containerd.cri.v1.images"
TRANSFER = "io.containerd.transfer.v1.local"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return hosttree.lay_out(tmp_path)


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the program's file tells of its version, by its name."""
    told: dict[str, str] = {}
    monkeypatch.setattr(gobuild, "version", lambda path, name: told.get(name, ""))
    return told


def test_a_host_without_a_runtime(tree: Path) -> None:
    assert look(tree).runtime is None


def test_docker_alone_runs_no_pods(tree: Path, version: dict[str, str]) -> None:
    version["containerd"] = "1.7.20"
    run(tree, "dockerd", pid=20)
    run(tree, "containerd", "--config", "/var/run/docker/containerd/containerd.toml", pid=21)

    assert look(tree).runtime is None


def test_containerd_without_a_file_has_its_defaults(tree: Path, version: dict[str, str]) -> None:
    version["containerd"] = "2.1.4"
    run(tree, "containerd")

    found = look(tree).runtime

    assert found
    assert (found.max_concurrent_downloads, found.downloads_per) == (3, "node")
    assert (found.progress_timeout_seconds, found.local_pulls) == (300.0, False)
    assert set(found.sources.values()) == {"default"}


def test_the_file_that_the_command_line_names_counts(tree: Path, version: dict[str, str]) -> None:
    version["containerd"] = "1.7.27"
    k3s = "/var/lib/rancher/k3s/agent/etc/containerd"
    run(tree, "containerd", "-c", f"{k3s}/config.toml", "-a", "/run/k3s/containerd/containerd.sock")
    write(tree, "etc/containerd/config.toml", "this = is no [TOML")
    write(
        tree,
        f"{k3s[1:]}/config.toml",
        f'version = 2\nimports = ["conf.d/*.toml"]\n[plugins."{OLD}"]\n'
        "max_concurrent_downloads = 6\n",
    )
    write(tree, f"{k3s[1:]}/conf.d/a.toml", f"[plugins.'{TRANSFER}']\nmax_concurrent_unpacks=4\n")

    found = look(tree)

    assert found.runtime
    assert found.runtime.max_concurrent_downloads == 6
    assert found.runtime.sources["max_concurrent_downloads"] == f"{k3s}/config.toml"
    assert found.runtime.sources["progress_timeout_seconds"] == "default"
    assert [u.setting for u in found.runtime.unused] == ["max_concurrent_unpacks"]
    assert found.unseen == {}


def test_mirrors_that_no_config_path_leads_to(tree: Path, version: dict[str, str]) -> None:
    run(tree, "containerd")
    write(tree, "etc/containerd/certs.d/docker.io/hosts.toml", "")
    write(tree, "etc/containerd/certs.d/no-mirror/ca.crt", "")
    path = f"[plugins.'{IMAGES}'.registry]\nconfig_path='/etc/containerd/certs.d'\n"

    seen = {}
    for number in ("2.1.4", "2.2.0"):
        version["containerd"] = number
        found = look(tree).runtime
        seen[number] = found.unread_hosts if found else None
    version["containerd"] = "2.1.4"
    write(tree, "etc/containerd/config.toml", f"version = 3\n{path}")
    named = look(tree).runtime

    assert seen == {"2.1.4": ("docker.io",), "2.2.0": ()}
    assert named
    assert named.unread_hosts == ()


def test_an_unknown_version_is_said(tree: Path, version: dict[str, str]) -> None:
    run(tree, "containerd")

    found = look(tree)

    assert found.runtime
    assert found.runtime.max_concurrent_downloads is None
    assert (
        "its version, which decides what its settings mean"
        in found.unseen["containerd of node/node-1"]
    )


def test_a_package_tells_the_version_that_the_program_does_not(
    tree: Path, version: dict[str, str]
) -> None:
    run(tree, "containerd")
    write(
        tree,
        "var/lib/dpkg/status",
        "Package: containerd\nStatus: deinstall ok config-files\nVersion: 1.4.13\n\n"
        "Package: containerd.io\nStatus: install ok installed\nPriority: optional\n"
        "Architecture: amd64\nVersion: 1:1.6.20~ds1-1+deb12u3\n",
    )

    found = look(tree).runtime

    assert found
    assert (found.version, found.progress_timeout_seconds) == ("1.6.20", 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'token = "{SECRET}\n', "/etc/containerd/config.toml: not TOML (line 1)"),
        ('imports = ["/missing.toml"]\n', "missing.toml does not exist"),
        ('imports = ["/etc/*/x.toml"]\n', "whose folders have a pattern"),
    ],
)
def test_a_file_that_can_not_be_read_is_no_set_of_defaults(
    tree: Path, version: dict[str, str], text: str, said: str
) -> None:
    version["containerd"] = "2.1.4"
    run(tree, "containerd")
    write(tree, "etc/containerd/config.toml", text)

    with pytest.raises(Unavailable) as raised:
        look(tree)
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_setting_of_the_wrong_kind_is_said(tree: Path, version: dict[str, str]) -> None:
    version["containerd"] = "2.3.7"
    run(tree, "containerd")
    text = f"version = 3\n[plugins.'{IMAGES}']\nimage_pull_progress_timeout = 'soon'\n"
    write(tree, "etc/containerd/config.toml", text)

    found = look(tree)

    assert found.runtime
    assert found.runtime.progress_timeout_seconds is None
    gap = "image_pull_progress_timeout of /etc/containerd/config.toml"
    assert found.unseen == {gap: "'soon' is no duration"}


@pytest.mark.parametrize(
    ("number", "flags", "daemon", "downloads", "seconds", "hard"),
    [
        pytest.param("0.3.15", (), "", 3, 60.0, 0.0, id="as it comes"),
        pytest.param("0.2.5", (), "", 3, 60.0, 119.0, id="with a deadline for whole pulls"),
        pytest.param(
            "0.3.15",
            ("--image-pull-progress-deadline", "10m"),
            '{"max-concurrent-downloads": 10, "registry-mirrors": []}',
            10,
            600.0,
            0.0,
            id="both set",
        ),
    ],
)
def test_cri_dockerd(
    tree: Path,
    version: dict[str, str],
    number: str,
    flags: tuple[str, ...],
    daemon: str,
    downloads: int,
    seconds: float,
    hard: float,
) -> None:
    version["cri-dockerd"] = number
    run(tree, "cri-dockerd", *flags, f"--secret={SECRET}")
    run(tree, "dockerd", pid=900)
    run(tree, "containerd", pid=901)
    if daemon:
        write(tree, "etc/docker/daemon.json", daemon)

    found = look(tree)

    runtime = found.runtime
    assert runtime
    assert (runtime.name, runtime.max_concurrent_downloads) == ("docker", downloads)
    assert (runtime.progress_timeout_seconds, runtime.pull_deadline_seconds) == (seconds, hard)
    assert found.unseen == {}
    assert SECRET not in repr(found)


def test_two_runtimes_side_by_side_are_said(tree: Path, version: dict[str, str]) -> None:
    version |= {"crio": "1.33.0", "containerd": "2.1.4"}
    run(tree, "crio")
    run(tree, "containerd", pid=901)

    found = look(tree)

    assert found.runtime
    assert found.runtime.name == "cri-o"
    assert found.unseen == {
        "which runtime the kubelet uses": "crio was judged, containerd runs too"
    }


def file(text: dict[str, object], *, path: str = "/c.toml", version: int = 3) -> File:
    return File(path, {"version": version, "plugins": text})


UNUSED = [
    pytest.param(
        "2.1.4", [file({OLD: {"max_concurrent_downloads": 8}})], "table", id="an old table in 3"
    ),
    pytest.param(
        "1.7.27",
        [file({IMAGES: {"max_concurrent_downloads": 8}}, version=2)],
        "table",
        id="a new table in 1.7",
    ),
    pytest.param(
        "2.1.4",
        [
            file({IMAGES: {"discard_unpacked_layers": True}}),
            file({TRANSFER: {"max_concurrent_downloads": 8}}),
        ],
        "local",
        id="the service's table while pulls are local",
    ),
    pytest.param(
        "2.0.5",
        [file({TRANSFER: {"max_concurrent_downloads": 8}})],
        "table",
        id="the service's table before 2.1",
    ),
    pytest.param(
        "1.7.27",
        [
            file({OLD: {"max_concurrent_downloads": 8}}, version=2),
            file({OLD: {"sandbox_image": "pause"}}, version=2, path="/gpu.toml"),
        ],
        "replaced",
        id="a drop-in that takes the table's place",
    ),
    pytest.param(
        "2.2.0",
        [
            file({OLD: {"max_concurrent_downloads": 8}}, version=2),
            file({}, version=3, path="/gpu.toml"),
        ],
        "table",
        id="a drop-in of version 3 that ends the migration",
    ),
]


@pytest.mark.parametrize(("number", "files", "why"), UNUSED)
def test_what_has_no_effect_is_told(number: str, files: list[File], why: str) -> None:
    of = runtimes.release(number)
    assert of

    (unused,) = effective(files, number, of)[0].unused

    assert (unused.setting, unused.value, unused.why) == ("max_concurrent_downloads", "8", why)
    assert unused.because


@pytest.mark.parametrize(
    ("number", "files"),
    [
        pytest.param("2.3.7", [file({OLD: {"max_concurrent_downloads": 8}})], id="2.3 migrates 3"),
        pytest.param(
            "2.2.0", [file({OLD: {"max_concurrent_downloads": 8}}, version=2)], id="and 2.2 2"
        ),
        pytest.param(
            "2.1.4",
            [
                file(
                    {
                        IMAGES: {"max_concurrent_downloads": 8},
                        TRANSFER: {"max_concurrent_downloads": 8},
                    }
                )
            ],
            id="both tables say the same",
        ),
        pytest.param(
            "2.1.4",
            [
                file({IMAGES: {"discard_unpacked_layers": True}}),
                file({TRANSFER: {"max_concurrent_downloads": 3, "max_concurrent_unpacks": 1}}),
            ],
            id="defaults that are written down",
        ),
        pytest.param("2.1.4", [file({"io.containerd.other": {"x": 1}})], id="other tables"),
        pytest.param("2.1.4", [File("/c", {"plugins": []})], id="no plugins"),
    ],
)
def test_what_has_an_effect_is_not_told(number: str, files: list[File]) -> None:
    of = runtimes.release(number)
    assert of

    assert effective(files, number, of)[0].unused == ()
