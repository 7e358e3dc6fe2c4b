"""What reading a cluster of 5,000 nodes and 150,000 pods costs, next to curl and the typed client.

    python -m bench.reads [--rounds N] [--keep FOLDER]

Prints a Markdown table and says which target is met; exits 1 when one is not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """One process, from its start to its end."""

    wall: float
    cpu: float
    rss_mb: float
    said: str


def run(command: Sequence[str | Path]) -> Run:
    """Run it to its end. The caller must be small: a child's peak begins with its parent's."""
    begin = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    process.stdout.close()
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


class Bed:
    """The folder with pages and keys, and the server's address."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"

    def kubeconfig(self, base: str) -> Path:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "clusters": [
                {
                    "name": "bench",
                    "cluster": {
                        "server": f"{self.url}/{base}",
                        "certificate-authority": str(self.folder / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": "bench",
                    "user": {
                        "client-certificate": str(self.folder / "client.crt"),
                        "client-key": str(self.folder / "client.key"),
                    },
                }
            ],
        }
        path = self.folder / f"{base.replace('/', '-')}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def curl(self, base: str) -> list[str | Path]:
        """curl on the same pages, nodes first, over one connection."""
        from bench.cluster import token

        lines = []
        size = base.rpartition("/")[2]
        for kind, pages in (("nodes", "nodes"), ("pods", size)):
            for page in sorted((self.folder / "pages" / pages).iterdir()):
                query = f"?limit=1000&continue={token(int(page.name)).replace('=', '%3D')}"
                lines.append(
                    f'url = "{self.url}/{base}/api/v1/{kind}{query}"\noutput = "/dev/null"'
                )
        path = self.folder / f"{base.replace('/', '-')}.curl"
        path.write_text("\n".join(lines))
        keys = {name: self.folder / name for name in ("ca.crt", "client.crt", "client.key")}
        return [
            *("curl", "-sSf", "--http1.1", "--noproxy", "*", "--cacert", keys["ca.crt"]),
            *("--cert", keys["client.crt"], "--key", keys["client.key"], "-K", path),
        ]

    def read(self, who: str, base: str) -> list[str | Path]:
        return [sys.executable, "-m", "bench.clients", who, self.kubeconfig(base)]


@contextmanager
def serving(folder: Path) -> Iterator[Bed]:
    """The server in a process of its own, until the block ends; then its log is there."""
    command = [sys.executable, "-m", "bench.server", folder, folder / "pages", folder / "log.json"]
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin
    assert process.stdout
    try:
        yield Bed(folder, int(process.stdout.readline()))
        process.stdin.close()
        process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def prepare(folder: Path) -> None:
    """Pages and keys, made in other processes so that this one stays small."""
    make = "from pathlib import Path; import sys; folder = Path(sys.argv[1]); "
    pages = make + "from bench.cluster import write; write(folder / 'pages')"
    keys = make + (
        "from tests.real.pki import Authority; authority = Authority(folder); "
        "authority.issue('server'); authority.issue('client', hosts=())"
    )
    for script in (pages, keys):
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True, cwd=ROOT)


def measure(bed: Bed, rounds: int) -> dict[str, Run]:
    """The medians of each, taken in turns so that a noisy minute hits all alike."""
    commands = {
        "curl": bed.curl("large"),
        "ours": bed.read("ours", "large"),
        "curl, shaped": bed.curl("shaped/large"),
        "ours, shaped": bed.read("ours", "shaped/large"),
        "curl, 15,000 pods": bed.curl("small"),
        "ours, 15,000 pods": bed.read("ours", "small"),
        "typed list, 15,000 pods": bed.read("typed", "small"),
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            print(f"round {number + 1}/{rounds}: {name}", file=sys.stderr)
            runs[name].append(run(command))
    return {
        name: Run(
            wall=median(r.wall for r in done),
            cpu=median(r.cpu for r in done),
            rss_mb=median(r.rss_mb for r in done),
            said=done[-1].said,
        )
        for name, done in runs.items()
    }


def check_seen(runs: dict[str, Run], folder: Path) -> None:
    """A reader that is fast because it misses something is worth nothing."""
    expected = json.loads((folder / "pages" / "expected.json").read_text())
    for name, size in (
        ("ours", "large"),
        ("ours, shaped", "large"),
        ("ours, 15,000 pods", "small"),
    ):
        seen = json.loads(runs[name].said)
        assert seen["nodes"] == 5_000
        assert seen["gaps"] == {}
        assert seen["workloads"] == expected[size], f"{name}: not every pod where it belongs"
    assert json.loads(runs["typed list, 15,000 pods"].said)["pods"] == 15_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder for the pages, to use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="k8sdiag-bench-") as temporary:
        folder = options.keep or Path(temporary)
        if not (folder / "client.key").exists():
            prepare(folder)
        with serving(folder) as bed:
            runs = measure(bed, options.rounds)
        check_seen(runs, folder)
        log = json.loads((folder / "log.json").read_text())
    print("| whole process, median | wall s | CPU s | peak RSS MB |\n|---|---|---|---|")
    for name, each in runs.items():
        print(f"| {name} | {each.wall:.2f} | {each.cpu:.2f} | {each.rss_mb:.0f} |")
    ours, small, typed = (
        runs[name] for name in ("ours", "ours, 15,000 pods", "typed list, 15,000 pods")
    )
    shaped = runs["ours, shaped"].wall / runs["curl, shaped"].wall
    results = (
        ("wall, times curl", ours.wall / runs["curl"].wall, "<=", 3.5),
        ("wall, times curl, shaped", shaped, "<=", 1.15),
        ("CPU a pod, microseconds", ours.cpu / 150_000 * 1e6, "<=", 30),
        ("less CPU a pod than the typed list", typed.cpu / 15_000 / (ours.cpu / 150_000), ">=", 35),
        ("peak RSS, MB", ours.rss_mb, "<=", 120),
        ("peak RSS, MB more than at 15,000 pods", ours.rss_mb - small.rss_mb, "<=", 25),
        ("requests in flight", max(entry["in_flight"] for entry in log), "<=", 1),
    )
    print("\n| | measured | target | |\n|---|---|---|---|")
    missed = False
    for what, value, sign, target in results:
        met = value <= target if sign == "<=" else value >= target
        missed |= not met
        print(f"| {what} | {value:.2f} | {sign} {target:g} | {'met' if met else 'MISSED'} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
