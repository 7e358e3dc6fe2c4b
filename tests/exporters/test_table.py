import pytest
from msgspec.structs import replace

from k8sdiag.exporters import _text, table
from k8sdiag.model import Status
from tests.exporters.golden import assert_page
from tests.exporters.reports import (
    CLEAN,
    FOUR_FAILURES,
    HOSTILE,
    NOTHING_JUDGED,
    REPORTS,
    outcome,
    report,
)


@pytest.mark.parametrize("name", REPORTS)
def test_page(name: str) -> None:
    assert_page(f"{name}.txt", table.render(REPORTS[name]))


def test_a_clean_report_has_no_findings_and_nothing_left_unjudged() -> None:
    text = table.render(CLEAN)

    assert "2 ok" in text
    assert "FINDINGS" not in text
    assert "NOT JUDGED" not in text


def test_what_was_not_judged_never_reads_as_fine() -> None:
    text = table.render(NOTHING_JUDGED)

    assert "1 error, 1 partial, 2 skipped" in text
    assert "No limit could be measured." in text
    assert " ok" not in text


def test_the_nearest_limits_stand_above_the_findings_and_the_worst_finding_first() -> None:
    text = table.render(FOUR_FAILURES)
    places = [
        text.index(words)
        for words in (
            "LAB RECORDING",
            "NEAREST LIMIT",
            "neighbor-ipv4          node/ip-10-0-0-7  960 entries  1,024 entries",
            "at 1,080 nodes",
            "CRITICAL  etcd-quota/nospace",
            "WARNING  dns-search/amplified",
            "NOT JUDGED",
            "45 requests, 125 MiB read, 12.3 seconds",
        )
    ]

    assert places == sorted(places)


def test_a_terminal_gets_sentences_in_its_width_and_commands_whole() -> None:
    text = table.render(FOUR_FAILURES, width=50)

    sentences = [r for r in text.splitlines() if r.startswith("  ") and not r.startswith("      ")]
    assert max(map(len, sentences)) <= 50
    (finding,) = FOUR_FAILURES.outcomes[2].findings
    assert finding.remedy is not None
    assert f"\n      {finding.remedy.commands[0]}\n" in text


def test_a_remedy_that_repeats_itself_is_said_once() -> None:
    (warning,) = FOUR_FAILURES.outcomes[3].findings
    twice = (warning, replace(warning, subject="node/ip-10-0-0-8"))
    text = table.render(report(outcome("neighbor-table", Status.FINDINGS, findings=twice)))

    assert text.count("sysctl -w") == 1
    assert (
        "node/ip-10-0-0-8\n  960 of 1,024 IPv4 neighbor entries are used.\n  Mend: as above\n"
        in (text)
    )


def test_a_line_break_in_a_command_is_shown_and_not_obeyed() -> None:
    assert _text.typed("kubectl get pods\nrm -rf x") == r"kubectl get pods\nrm -rf x"
    assert "\n# b" not in table.render(HOSTILE).split("File or patch")[0]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "entries", "0 entries"),
        (1240, "nodes", "1,240 nodes"),
        (2.5, "queries", "2.50 queries"),
        (1023, "bytes", "1,023 bytes"),
        (8 * 2**30, "bytes", "8 GiB"),
        (1.86 * 2**30, "bytes", "1.86 GiB"),
        (5 * 2**50, "bytes", "5,120 TiB"),
        (90, "seconds", "90 seconds"),
        (600, "seconds", "10 minutes"),
        (3599, "seconds", "1h00m"),
        (7500, "seconds", "2h05m"),
        (float("inf"), "seconds", "inf seconds"),
        (float("nan"), "entries", "nan entries"),
    ],
)
def test_amount(value: float, unit: str, words: str) -> None:
    assert _text.amount(value, unit) == words
