"""Our formats are the client library's, byte for byte; and it stays usable as a whole."""

import subprocess
import sys
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from k8sdiag import run
from k8sdiag.exposition import Family, encoder, text
from k8sdiag.families import families
from k8sdiag.judge import judge
from k8sdiag.plugins import checks


class Given(Collector):
    def __init__(self, found: Iterable[Family]) -> None:
        self.found = list(found)

    def collect(self) -> Iterable[Family]:
        return self.found


def family(kind: str, help_: str, *samples: tuple[str, dict[str, str], float]) -> Family:
    found = Family("k8sdiag_x", help_, kind)
    for name, labels, value in samples:
        found.add_sample(name, labels, value)
    return found


ODD = [
    family("gauge", "No samples."),
    family("gauge", 'A "quote", a \\ and a\nline.', ("k8sdiag_x", {}, 1)),
    family("counter", "Counted.", ("k8sdiag_x_total", {"b": "2", "a": "1"}, 3.5e6)),
    family("gauge", "Labels.", ("k8sdiag_x", {"a": 'q"\\\n', "b": "\u00e4\u4e16"}, 0.1)),
    family(
        "gauge",
        "Numbers.",
        *[
            ("k8sdiag_x", {"n": str(i)}, value)
            for i, value in enumerate(
                [float("inf"), float("-inf"), float("nan"), 0, True, 1e-9, 1e21, 123456789012345678]
            )
        ],
    ),
]
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize("odd", ODD, ids=lambda f: f.documentation[:6])
def test_the_text_format_is_the_library_s(odd: Family) -> None:
    assert text([odd]) == generate_latest(Given([odd]))


def test_the_demo_is_written_as_the_library_writes_it() -> None:
    report = judge(checks().values(), run.load_demo())

    assert text(families(report)) == generate_latest(Given(families(report)))


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain;version=0.0.4", PROMETHEUS])
def test_who_asks_gets_what_the_library_would_give(accept: str) -> None:
    ours, content_type = encoder(accept)
    theirs, their_type = choose_encoder(accept)

    assert ours(ODD[1:2]) == theirs(Given(ODD[1:2]))
    assert content_type == their_type.replace("; escaping=underscores", "")


def test_openmetrics_ends_as_it_must() -> None:
    assert encoder(PROMETHEUS)[0](ODD[2:3]).endswith(b"\n# EOF\n")


def test_the_library_can_be_used_as_a_whole_beside_it() -> None:
    assert Family is Metric
    registry = CollectorRegistry()
    Counter("x", "X.", registry=registry).inc()
    assert b"x_total 1.0" in generate_latest(registry)


@pytest.mark.parametrize(
    "order",
    ["import prometheus_client; import k8sdiag.exposition as e",
     "import k8sdiag.exposition as e; import prometheus_client"],
)  # fmt: skip
def test_in_either_order(order: str) -> None:
    same = "assert e.Family is prometheus_client.Metric; prometheus_client.start_http_server"
    subprocess.run([sys.executable, "-c", f"{order}; {same}"], check=True)


def test_it_loads_none_of_the_library_s_servers() -> None:
    heavy = "{'ssl', 'http', 'urllib.request', 'prometheus_client.exposition'}"
    code = f"import sys, k8sdiag.exposition; print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
