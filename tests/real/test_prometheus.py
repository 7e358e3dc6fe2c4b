"""The door to a real Prometheus that scrapes a real etcd."""

import time
from collections.abc import Callable

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers.prometheus import Prometheus
from tests.real import prometheus
from tests.real.etcd import EtcdCluster


def test_queries(
    start_prometheus: Callable[..., prometheus.Prometheus],
    start_etcd: Callable[..., EtcdCluster],
) -> None:
    target = start_etcd(tls=False).metrics_urls[0].removeprefix("http://")
    door = Prometheus.open(start_prometheus(scraping(target)).url)
    size = "etcd_mvcc_db_total_size_in_bytes"

    deadline = time.monotonic() + 20
    while not (found := door.instant(size)):
        assert time.monotonic() < deadline, "Prometheus scraped nothing"
        time.sleep(0.2)
    ((labels, value),) = found
    ((_, samples),) = door.range(size, 60, 1)

    assert labels == {"__name__": size, "instance": target, "job": "etcd"}
    assert value > 0
    assert {v for _, v in samples} == {value}
    assert abs(samples[-1][0] - time.time()) < 10
    assert door.instant("vector(0)/0") == []
    assert door.instant("nothing_of_this_name") == []
    assert door.warnings == ()
    with pytest.raises(Unavailable, match=r"refuses the query: .*parse error"):
        door.instant("size(")


def scraping(target: str) -> str:
    return (
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: etcd, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
