"""The fleet's neighbor tables by a real Prometheus that scrapes a real node exporter."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from k8sdiag.checks._neighbor_verdict import NeighborTableLimits
from k8sdiag.checks.neighbor_table import check
from k8sdiag.facts.neighbor import FleetNeighborTables
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Missing, Unavailable, Unseen, Usage
from k8sdiag.readers import prometheus as door
from k8sdiag.readers.host import Host
from k8sdiag.sources.neighbor_netlink import read
from k8sdiag.sources.neighbor_prometheus import collect
from tests.real.bed import answers, free_ports, running
from tests.real.prometheus import Prometheus

NOT_HERE = Missing(reason="this is another machine", asked=False)


def await_fleet(reader: door.Prometheus, seconds: float = 30) -> FleetNeighborTables:
    """What is scraped, once there are two samples of a counter for increase()."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fleet = collect(reader)
            if all(t.table_fulls_delta is not None for h in fleet.hosts for t in h.tables):
                return fleet
        except Unavailable:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_every_node_is_judged_from_elsewhere(
    tmp_path: Path, start_prometheus: Callable[..., Prometheus]
) -> None:
    (port,) = free_ports(1)
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [sys.executable, "-m", "k8sdiag", "serve", "node", listen]
    with running("exporter", command, tmp_path) as process:
        process.await_ready(answers(f"http://127.0.0.1:{port}/-/ready"))
        target = f"static_configs: [{{targets: ['127.0.0.1:{port}']}}]"
        config = f"scrape_configs: [{{job_name: node, scrape_interval: 1s, {target}}}]"
        reader = door.Prometheus.open(start_prometheus(config=config).url)
        fleet = await_fleet(reader)

    here = Host().name
    (host,) = fleet.hosts
    assert host.host == here  # not 127.0.0.1: the exporter says whose numbers these are
    assert {t.family: t.gc_thresh3 for t in host.tables} == {t.family: t.gc_thresh3 for t in read()}

    nodes = Nodes(nodes=(Node(name=here), Node(name="node-without-exporter")))
    spoken = list(check(NOT_HERE, fleet, nodes, NeighborTableLimits()))
    assert [x.subject for x in spoken if isinstance(x, Unseen)] == ["1 of 2 nodes"]
    assert {x.subject for x in spoken if isinstance(x, Usage)} == {f"node/{here}"}
