import pytest
from prometheus_client.parser import text_string_to_metric_families

from k8sdiag.exporters import prometheus
from tests.exporters.golden import assert_page
from tests.exporters.reports import FOUR_FAILURES, REPORTS


def test_page() -> None:
    assert_page("four-failures.prom", prometheus.render(FOUR_FAILURES))


@pytest.mark.parametrize("name", REPORTS)
def test_a_parser_reads_each_series_once(name: str) -> None:
    families = list(text_string_to_metric_families(prometheus.render(REPORTS[name])))
    series = [(s.name, tuple(sorted(s.labels.items()))) for f in families for s in f.samples]

    assert len({f.name for f in families}) == len(families)
    assert len(set(series)) == len(series)
    assert all(name.startswith("k8sdiag_") for name, _ in series)


def test_no_sentence_of_a_finding_is_in_a_label() -> None:
    text = prometheus.render(FOUR_FAILURES)

    for outcome in FOUR_FAILURES.outcomes:
        for finding in outcome.findings:
            assert finding.message not in text
