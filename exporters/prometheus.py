"""For Prometheus: every number of the report, for node_exporter's textfile collector."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from k8sdiag.model import Report

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

FILE_MODE = 0o644  # node_exporter reads the file as another user


def render(report: Report) -> str:
    """The text exposition format, 0.0.4."""
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    from k8sdiag.families import families

    class Families(Collector):
        def collect(self) -> "Iterable[Metric]":
            return families(report)

    return generate_latest(Families()).decode()
