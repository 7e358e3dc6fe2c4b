"""For Prometheus: every number of the report, for node_exporter's textfile collector."""

from k8sdiag.model import Report

FILE_MODE = 0o644  # node_exporter reads the file as another user


def render(report: Report) -> str:
    """The text exposition format, 0.0.4."""
    from k8sdiag.exposition import text
    from k8sdiag.families import families

    return text(families(report)).decode()
