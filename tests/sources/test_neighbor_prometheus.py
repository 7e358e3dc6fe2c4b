"""The fleet's tables out of the answers to a few queries."""

import re

import pytest

from k8sdiag.facts.neighbor import HostTables, NeighborTable
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus
from k8sdiag.sources.neighbor_prometheus import collect

ENTRIES = "k8sdiag_neighbor_entries"


class Scraped(Prometheus):
    """Answers from a table of series, by the metric's name in the query."""

    def __init__(self, series: dict[str, list[tuple[Labels, float]]]) -> None:
        super().__init__("http://prometheus.example:9090")
        self.series = series
        self.asked = 0

    def instant(self, promql: str) -> list[tuple[Labels, float]]:
        self.asked += 1
        name = "increase" if promql.startswith("increase") else promql.partition("{")[0]
        return self.series.get(name, [])


def of(instance: str, family: str = "ipv4", **labels: str) -> Labels:
    return {"job": "k8sdiag", "instance": instance, "family": family, **labels}


def test_one_host_by_all_its_metrics() -> None:
    place = of("10.0.0.7:10057")
    numbers = {"gc_thresh1": 128, "gc_thresh2": 512, "gc_thresh3": 1024, "table_fulls_total": 40}
    series = {f"k8sdiag_neighbor_{name}": [(place, float(v))] for name, v in numbers.items()}
    series |= {ENTRIES: [(place, 1030.0)], "increase": [(place, 38.7)]}
    series["k8sdiag_usage"] = [({**place, "subject": "node/ip-10-0-0-7"}, 1024.0)]
    reader = Scraped(series)

    assert collect(reader).hosts == (
        HostTables(
            "ip-10-0-0-7",
            (
                NeighborTable(
                    family="ipv4",
                    entries=1030,
                    gc_thresh1=128,
                    gc_thresh2=512,
                    gc_thresh3=1024,
                    table_fulls=40,
                    table_fulls_delta=39,
                    look_seconds=600,
                ),
            ),
        ),
    )
    assert reader.asked == 9


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (of("10.0.0.7:10057"), "10.0.0.7"),
        (of("[fd00::7]:10057"), "fd00::7"),
        (of("10.0.0.7:10057", node="worker-7"), "worker-7"),
    ],
)
def test_the_name_of_a_host_whose_usage_is_not_known(labels: Labels, name: str) -> None:
    assert collect(Scraped({ENTRIES: [(labels, 1.0)]})).hosts[0].host == name


def test_a_prometheus_without_our_exporter_is_asked_once() -> None:
    reader = Scraped({})

    with pytest.raises(Unavailable, match="scrapes no k8sdiag node exporter"):
        collect(reader)
    assert reader.asked == 1


def test_several_clusters_are_not_mixed() -> None:
    two = [(of("a:1", cluster="blue"), 1.0), (of("b:1", cluster="green"), 1.0)]

    with pytest.raises(Unavailable, match=re.escape("several clusters (blue, green)")):
        collect(Scraped({ENTRIES: two}))
