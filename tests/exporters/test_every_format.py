"""What holds for each exporter."""

from types import ModuleType

import pytest

from k8sdiag import plugins
from k8sdiag.model import Report
from tests.exporters.reports import FOUR_FAILURES, REPORTS

EXPORTERS, BROKEN = plugins.exporters()


def test_the_formats() -> None:
    assert {"json", "markdown", "prometheus", "table"} <= EXPORTERS.keys()
    assert BROKEN == {}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=EXPORTERS)
def test_the_same_report_gives_the_same_text_with_one_line_break_at_its_end(
    exporter: ModuleType, report: Report
) -> None:
    text = exporter.render(report)

    assert text == exporter.render(report)
    assert text.rstrip("\n") + "\n" == text


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=EXPORTERS)
def test_a_lab_recording_is_labelled(exporter: ModuleType) -> None:
    assert FOUR_FAILURES.lab in exporter.render(FOUR_FAILURES)


@pytest.mark.parametrize("exporter", [EXPORTERS["table"], EXPORTERS["markdown"]])
@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_what_people_read_names_every_finding_and_every_reason(
    exporter: ModuleType, report: Report
) -> None:
    text = exporter.render(report)

    for outcome in report.outcomes:
        for finding in outcome.findings:
            assert finding.code in text
        if not outcome.whole:
            assert outcome.check in text
            assert outcome.reason.split(":")[0] in text


@pytest.mark.parametrize("exporter", [EXPORTERS[f] for f in ("table", "markdown", "json")])
def test_no_terminal_obeys_what_a_server_wrote(exporter: ModuleType) -> None:
    text = exporter.render(REPORTS["hostile"])

    assert [c for c in text if not c.isprintable() and c != "\n"] == []
