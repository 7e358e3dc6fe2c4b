"""What a user installs: the wheel built through the sdist, in a clean environment."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **_pip()},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _pip() -> dict[str, str]:
    """How this machine reaches its package index, as its owner has set it."""
    names = (
        "PIP_",
        "SSL_",
        "REQUESTS_",
        "HTTP_",
        "HTTPS_",
        "NO_PROXY",
        "http",
        "https",
        "no_proxy",
    )
    kept = {k: v for k, v in os.environ.items() if k.startswith(names)}
    cache = os.environ.get("PIP_CACHE_DIR") or str(Path("~/.cache/pip").expanduser())
    return {**kept, "PIP_CACHE_DIR": cache, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that was made from it and not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    plugin = ROOT / "tests" / "plugin"
    run(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder, plugin, cwd=folder
    )
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel and the plugin in it."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    wheels = sorted(str(path) for path in dist.glob("*.whl"))
    run(home / "bin" / "pip", "install", "--quiet", *wheels, cwd=home)
    return home / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("k8sdiag-*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"k8sdiag"}
    assert "k8sdiag/checks/etcd_quota.py" in names
    assert "k8sdiag/exporters/table.py" in names
    assert "k8sdiag/pages/etcd-quota.md" in names
    assert "k8sdiag/demo.json.gz" in names
    assert "k8sdiag/report.schema.json" in names
    assert len(names) == len(set(names))


def test_the_demo_is_small(dist: Path) -> None:
    (wheel,) = dist.glob("k8sdiag-*.whl")

    assert zipfile.ZipFile(wheel).getinfo("k8sdiag/demo.json.gz").file_size <= 1_000_000


def test_the_sdist_holds_what_its_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("k8sdiag-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"checks/etcd_quota.py", "tests/test_judge.py", "docs/checks/etcd-quota.md"} <= names
    assert not [name for name in names if name.startswith((".cache", ".venv"))]


def test_an_installed_k8sdiag_judges_its_demo(installed: Path, tmp_path: Path) -> None:
    report = json.loads(
        run(installed / "k8sdiag", "audit", "--demo", "-o", "json", cwd=tmp_path, code=1)
    )

    assert {o["check"] for o in report["outcomes"] if o["findings"]} >= {"etcd-quota", "dns-search"}


def test_a_page_is_there_without_the_sources(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "k8sdiag", "explain", "dns-search", cwd=tmp_path).startswith(
        "# dns-search"
    )


def test_a_strangers_check_runs_and_a_broken_one_is_one_error(
    installed: Path, tmp_path: Path
) -> None:
    command = (installed / "k8sdiag", "node", "--check", "acme-uptime", "--check", "acme-broken")
    report = json.loads(run(*command, "-o", "json", "--fail-on", "warning", cwd=tmp_path, code=1))
    outcomes = {o["check"]: o for o in report["outcomes"]}

    assert outcomes["acme-uptime"]["findings"][0]["code"] == "acme-uptime/long"
    assert outcomes["acme-broken"]["status"] == "error"
    assert "package_that_nobody_has" in outcomes["acme-broken"]["reason"]


def test_kubectl_finds_it_as_a_plugin(installed: Path, tmp_path: Path) -> None:
    assert "audit" in run(installed / "kubectl-k8sdiag", "--help", cwd=tmp_path)
