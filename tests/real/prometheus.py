"""A real Prometheus with a configuration of one's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.bed import answers, free_ports, program, running, scratch


@dataclass(frozen=True)
class Prometheus:
    url: str
    pid: int
    log: Path


@contextmanager
def started(folder: Path, config: str = "{}", history: str = "") -> Iterator[Prometheus]:
    """A Prometheus that is ready for queries, until the block ends.

    `config` is YAML; `history` is OpenMetrics text, samples of earlier times with their stamps.
    """
    path = folder / "prometheus.yml"
    path.write_text(config)
    (port,) = free_ports(1)
    with scratch(folder / "data") as data:
        if history:
            _backfill(folder / "history.txt", history, data)
        options = [f"--config.file={path}", f"--storage.tsdb.path={data}"]
        options.append(f"--web.listen-address=127.0.0.1:{port}")
        with running("prometheus", [program("prometheus"), *options], folder) as process:
            url = f"http://127.0.0.1:{port}"
            process.await_ready(answers(f"{url}/-/ready"))
            yield Prometheus(url, process.pid, process.log)


def _backfill(file: Path, history: str, data: Path) -> None:
    file.write_text(history)
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", file, data]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=120)
