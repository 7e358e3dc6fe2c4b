"""The limits of all nodes out of the answers to a query each."""

import re

import pytest

from k8sdiag.facts.fleet import FleetLimits, Reading
from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Labels, Prometheus
from k8sdiag.sources._node_targets import names
from k8sdiag.sources.node_limits_prometheus import collect

Series = tuple[Labels, float]
OURS = {"job": "k8sdiag", "instance": "10.0.0.7:10057"}
THEIRS = {"job": "node-exporter", "instance": "10.0.0.7:9100"}


def of(place: Labels, name: str, value: float = 1.0, **labels: str) -> Series:
    return {**place, "__name__": name, **labels}, value


class Scraped(Prometheus):
    """Gives of its series those that a query selects, as far as our queries select any."""

    def __init__(self, *series: Series, refuses: str = "") -> None:
        super().__init__("http://prometheus.example:9090")
        self.series = series
        self.refuses = refuses
        self.asked: list[str] = []

    def instant(self, promql: str) -> list[Series]:
        self.asked.append(promql)
        if self.refuses and self.refuses in promql:
            raise Unavailable("too many samples")
        metrics = set(re.findall(r"\b(?:k8sdiag|node)_\w+", promql))
        wanted = dict(re.findall(r'(limit_id|check)=~"([^"]+)"', promql))
        return [
            (labels, value)
            for labels, value in self.series
            if labels["__name__"] in metrics
            and all(labels.get(n, "") in {*ids.split("|"), ""} for n, ids in wanted.items())
        ]


def exporter(*more: Series, node: str = "worker-7") -> tuple[Series, ...]:
    return (
        of(OURS, "k8sdiag_snapshot_timestamp_seconds"),
        of(OURS, "k8sdiag_usage", 900.0, limit_id="threads", subject=f"node/{node}"),
        of(OURS, "k8sdiag_usage_limit", 32_768.0, limit_id="threads", subject=f"node/{node}"),
        of(OURS, "k8sdiag_check_success", check="threads"),
        *more,
    )


def node_exporter(host: str = "worker-7", **labels: str) -> tuple[Series, ...]:
    place = THEIRS | labels
    return (
        of(place, "node_uname_info", nodename=host),
        of(place, "node_nf_conntrack_entries", 400.0),
        of(place, "node_nf_conntrack_entries_limit", 1000.0),
        of(place, "node_nf_conntrack_stat_drop", 7.4),
        of(place, "node_filefd_allocated", 1234.0),
        of(place, "node_filefd_maximum", 9e18),
        of(place, "node_netstat_TcpExt_ListenOverflows", 12.0),
        of(place, "node_softnet_dropped_total", 0.0),
    )


def told(fleet: FleetLimits) -> dict[str, tuple[Reading, ...]]:
    return {name: limit.readings for name, limit in fleet.limits.items() if limit.readings}


def test_our_exporter() -> None:
    limited = told(collect(Scraped(*exporter())))

    reading = Reading(names=("worker-7", "10.0.0.7"), source="k8sdiag", used=900, limit=32_768)
    assert limited == {"threads": (reading,)}


def test_node_exporter_has_a_part_of_the_limits() -> None:
    scraped = Scraped(*node_exporter())
    limited = told(collect(scraped))

    host, known = ("worker-7",), ("worker-7", "10.0.0.7")
    assert limited == {
        "conntrack": (
            Reading(
                names=host, source="node_exporter", used=400, limit=1000, drops=7.4, seconds=600
            ),
        ),
        "file-handles": (
            Reading(names=known, source="node_exporter", used=1234, limit=9e18, seconds=600),
        ),
        "listen-overflow": (Reading(names=host, source="node_exporter", used=12, seconds=600),),
        "softnet-drops": (Reading(names=known, source="node_exporter", seconds=600),),
    }
    assert len(scraped.asked) == 10  # however many nodes there are


def test_in_a_pod_s_network_node_exporter_is_called_as_the_pod() -> None:
    """The check finds no such node, for the two that are the pod's own; the others are known."""
    limited = told(collect(Scraped(*node_exporter("node-exporter-x7k2p", node="worker-7"))))

    assert limited["conntrack"][0].names == ("node-exporter-x7k2p",)
    assert limited["listen-overflow"][0].names == ("node-exporter-x7k2p",)
    assert "worker-7" in limited["file-handles"][0].names


def test_node_exporter_that_does_not_tell_its_host_s_name() -> None:
    _, *series = node_exporter()
    limited = told(collect(Scraped(*exporter(), *series)))

    assert limited["conntrack"][0].names == ()
    assert limited["softnet-drops"][0].names == ("10.0.0.7",)


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        pytest.param(1.0, [Reading(names=("worker-7", "10.0.0.7"), source="k8sdiag")], id="none"),
        pytest.param(0.0, [], id="not seen"),
    ],
)
def test_a_limit_without_a_usage(success: float, expected: list[Reading]) -> None:
    """As of systemd, which sets fs.file-max to the largest number there is."""
    series = of(OURS, "k8sdiag_check_success", success, check="file-handles")

    assert list(told(collect(Scraped(*exporter(series)))).get("file-handles", ())) == expected


def test_what_an_exporter_sees_a_part_of_is_not_whole() -> None:
    series = [s for s in exporter() if s[0]["__name__"] != "k8sdiag_check_success"]
    failed = of(OURS, "k8sdiag_check_success", 0.0, check="threads")
    (reading,) = told(collect(Scraped(*series, failed)))["threads"]

    assert (reading.used, reading.whole) == (900, False)


@pytest.mark.parametrize(
    "series",
    [
        # What is too old, and the cluster exporter, the first query leaves out.
        pytest.param(exporter()[1:], id="no exporter's, or one of long ago"),
        pytest.param(
            exporter(of(OURS, "k8sdiag_usage", 1.0, limit_id="threads", subject="node/worker-8")),
            id="an audit's file, with several nodes in it",
        ),
    ],
)
def test_numbers_that_are_no_node_s_own(series: tuple[Series, ...]) -> None:
    assert told(collect(Scraped(*series, *node_exporter()))).get("threads") is None


def test_a_usage_without_its_limit_is_no_number() -> None:
    series = [s for s in exporter() if s[0]["__name__"] != "k8sdiag_usage_limit"]
    (reading,) = told(collect(Scraped(*series)))["threads"]

    assert (reading.used, reading.limit) == (0, 0)


def test_a_file_beside_node_exporter_tells_of_inotify() -> None:
    usage = of(THEIRS, "k8sdiag_usage", 90.0, limit_id="inotify-instances", subject="node/worker-7")
    limit = {**usage[0], "__name__": "k8sdiag_usage_limit"}, 128.0
    series = of(THEIRS, "k8sdiag_snapshot_timestamp_seconds"), usage, limit
    limited = told(collect(Scraped(*node_exporter("vm"), *series)))

    assert limited["inotify-instances"][0].names == ("worker-7", "10.0.0.7")
    assert "inotify-watches" not in limited


def test_a_prometheus_without_exporters_is_asked_once() -> None:
    scraped = Scraped(of(OURS, "k8sdiag_usage", 1.0, limit_id="threads", subject="node/worker-7"))

    with pytest.raises(Unavailable, match="scrapes neither k8sdiag's node exporter nor"):
        collect(scraped)
    assert len(scraped.asked) == 1


def test_several_clusters_are_not_mixed() -> None:
    two = [*node_exporter(cluster="blue"), *node_exporter(cluster="green")]

    with pytest.raises(Unavailable, match=re.escape("several clusters (blue, green)")):
        collect(Scraped(*two))


def test_a_query_that_is_refused_costs_its_limit_only() -> None:
    fleet = collect(Scraped(*node_exporter(), refuses="node_filefd"))

    assert fleet.limits["file-handles"].gap == "too many samples"
    assert fleet.limits["conntrack"].readings
    assert fleet.gaps == {}


def test_drops_that_can_t_be_had_do_not_cost_the_table() -> None:
    fleet = collect(Scraped(*node_exporter(), refuses="increase(node_nf"))

    assert [r.drops for r in fleet.limits["conntrack"].readings] == [0]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"instance": "10.0.0.7:9100"}, ("10.0.0.7",)),
        ({"instance": "[fd00::7]:9100"}, ("fd00::7",)),
        ({"instance": "fd00::7"}, ("fd00::7",)),
        ({"instance": "worker-7"}, ("worker-7",)),  # as kube-prometheus relabels it
        ({"instance": "10.0.0.7:9100", "node": "worker-7"}, ("worker-7", "10.0.0.7")),
        ({}, ()),
    ],
)
def test_what_a_scrape_calls_its_node(labels: Labels, expected: tuple[str, ...]) -> None:
    assert names(labels) == expected
