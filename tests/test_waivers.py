"""Waivers: what is set apart, until when, and what is said of those that stand for nothing."""

import itertools
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from k8sdiag import config, plugins, run
from k8sdiag.exporters import jsonreport, markdown, prometheus, table
from k8sdiag.model import Finding, Outcome, Report, Severity, Status, Waiver
from k8sdiag.output import exit_code
from k8sdiag.waivers import waive
from tests.test_cli import k8sdiag
from tests.test_compare import SCHEMA

LOOK = datetime(2026, 3, 1, 12, tzinfo=UTC)
W, C = Severity.WARNING, Severity.CRITICAL


def finding(code: str = "dam/near", subject: str = "wall/north", severity: Severity = C) -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message=f"{subject} leaks")


def report(*findings: Finding, reason: str = "", at: datetime = LOOK) -> Report:
    outcomes = [
        Outcome(
            check=check,
            title=check,
            status=Status.FINDINGS if found else Status.PARTIAL if reason else Status.OK,
            reason=reason,
            findings=found,
        )
        for check in ("dam", "gate")
        for found in [tuple(f for f in findings if f.code.startswith(check))]
    ]
    return Report(cluster="c", taken_at=at, version="1", outcomes=tuple(outcomes))


def waiver(
    what: str = "dam/near", subject: str = "*", expires: date = date(2026, 4, 1), reason: str = "ok"
) -> Waiver:
    key = "code" if "/" in what else "check"
    return Waiver(**{key: what}, subject=subject, reason=reason, expires=expires)


def left(judged: Report) -> list[str]:
    return [f"{f.code} {f.subject}" for o in judged.outcomes for f in o.findings]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(waiver("gate"), id="of another check"),
        pytest.param(waiver("dam/full"), id="of another finding of the check"),
        pytest.param(waiver("dam", "wall/south"), id="of another subject"),
        pytest.param(waiver("dam", "wall/nort"), id="a pattern is of the whole subject"),
        pytest.param(waiver("dam", "WALL/*"), id="capitals differ"),
        pytest.param(waiver(expires=date(2026, 3, 1)), id="expired on the day of the look"),
        pytest.param(waiver(expires=date(2020, 1, 1)), id="expired long ago"),
    ],
)
def test_what_a_waiver_leaves_alone(given: Waiver) -> None:
    judged = waive(report(finding()), [given])

    assert left(judged) == ["dam/near wall/north"]
    assert exit_code(judged, "critical") == 1


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(waiver("dam"), id="a check"),
        pytest.param(waiver("dam/near"), id="one kind of finding"),
        pytest.param(waiver("dam", "wall/*"), id="a pattern"),
        pytest.param(waiver("dam", "*north"), id="a pattern over the slash"),
        pytest.param(waiver("dam", "wall/[mn]orth"), id="a set of letters"),
        pytest.param(waiver(expires=date(2026, 3, 2)), id="on its last day"),
    ],
)
def test_what_a_waiver_sets_apart(given: Waiver) -> None:
    judged = waive(report(finding()), [given])
    (waived,) = judged.outcomes[0].waived

    assert left(judged) == []
    assert waived.finding == finding()
    assert judged.outcomes[0].status is Status.OK
    assert exit_code(judged, "warning") == 0
    assert (judged.expired, judged.unmatched) == ((), ())


def test_what_was_not_seen_stays_unseen() -> None:
    judged = waive(report(finding(), reason="node-7: timed out"), [waiver()])

    assert judged.outcomes[0].status is Status.PARTIAL
    assert exit_code(judged, "critical") == 3


def test_a_subject_that_was_renamed_counts_again_and_the_waiver_is_told() -> None:
    mine = waiver(subject="wall/old-name")
    judged = waive(report(finding(subject="wall/new-name")), [mine])

    assert left(judged) == ["dam/near wall/new-name"]
    assert judged.unmatched == (mine,)
    assert "matches no finding" in table.render(judged)
    assert "matches no finding" in markdown.render(judged)


def test_a_waiver_of_what_was_not_judged_whole_is_not_told_to_be_useless() -> None:
    assert waive(report(reason="no etcd"), [waiver()]).unmatched == ()


def test_a_waiver_of_a_check_that_did_not_run_is_not_told() -> None:
    others = [waiver("moon"), waiver("moon", expires=date(2020, 1, 1))]
    judged = waive(report(finding()), others)

    assert (judged.expired, judged.unmatched) == ((), ())


def test_an_expired_waiver_is_told_with_its_day() -> None:
    mine = waiver(expires=date(2026, 2, 1), reason="until spring")
    judged = waive(report(finding()), [mine])

    assert judged.expired == (mine,)
    for text in (table.render(judged), markdown.render(judged)):
        assert "expired on 2026-02-01" in text
        assert "until spring" in text


def test_the_day_is_that_of_the_look_in_utc() -> None:
    evening_in_new_york = datetime(2026, 3, 31, 21, tzinfo=timezone(timedelta(hours=-5)))
    judged = waive(report(finding(), at=evening_in_new_york), [waiver(expires=date(2026, 4, 1))])

    assert left(judged) == ["dam/near wall/north"]


def test_of_two_waivers_the_last_to_expire_counts_and_both_are_of_use() -> None:
    soon, late = waiver(expires=date(2026, 3, 5)), waiver("dam", expires=date(2026, 9, 1))
    judged = waive(report(finding()), [late, soon])

    assert judged.outcomes[0].waived[0].waiver == late
    assert judged.unmatched == ()


def test_the_order_of_the_input_does_not_matter() -> None:
    found = [finding(), finding(subject="wall/south"), finding("gate/open", "gate/1", W)]
    waivers = [
        waiver("dam", "wall/n*"),
        waiver("gate", reason="b"),
        waiver("gate", reason="a"),
        waiver("gate/shut"),
        waiver(expires=date(2026, 1, 1)),
    ]
    pages = {
        render(waive(report(*found), given))
        for given in itertools.permutations(waivers)
        for render in (jsonreport.render,)
    }

    assert len(pages) == 1


def test_the_worst_that_counts_stands_first() -> None:
    judged = waive(report(finding(), finding("gate/open", "gate/1", W)), [waiver()])

    assert [o.check for o in judged.outcomes] == ["gate", "dam"]


def test_every_format_shows_what_is_waived_and_why() -> None:
    judged = waive(report(finding()), [waiver(reason="until *spring*")])
    document = json.loads(jsonreport.render(judged))
    (shown,) = document["outcomes"][0]["waived"]

    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["outcomes"][0]["findings"] == []
    assert shown["waived"] == {"reason": "until *spring*", "expires": "2026-04-01"}
    assert "WAIVED  dam/near  wall/north (critical)" in table.render(judged)
    assert "Until 2026-04-01: until *spring*" in table.render(judged)
    assert r"waived until 2026-04-01: until \*spring\*" in markdown.render(judged)


def test_prometheus_counts_what_is_waived_apart() -> None:
    page = prometheus.render(waive(report(finding()), [waiver()]))

    assert 'k8sdiag_check_findings{check="dam",severity="critical"} 0.0' in page
    assert 'k8sdiag_check_waived_findings{check="dam"} 1.0' in page
    assert "k8sdiag_check_waived_findings" not in prometheus.render(report(finding()))


def test_json_holds_the_waivers_that_say_nothing() -> None:
    judged = waive(report(finding()), [waiver("gate"), waiver(expires=date(2020, 1, 1))])
    document = json.loads(jsonreport.render(judged))

    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert [w["check"] for w in document["waivers"]["unmatched"]] == ["gate"]
    assert [w["code"] for w in document["waivers"]["expired"]] == ["dam/near"]


def test_without_waivers_a_report_is_as_it_was() -> None:
    assert waive(report(finding()), []) == report(finding())


def test_what_is_waived_has_not_gone_since_the_baseline() -> None:
    snapshot = run.load_demo()
    later = replace(snapshot, taken_at=snapshot.taken_at + timedelta(days=1))
    checks = [plugins.checks()["etcd-quota"]]
    outgrown = waiver("etcd-quota", expires=later.taken_at.date() + timedelta(days=1))
    changes = run.compared(checks, snapshot, later, [outgrown]).changes

    assert changes is not None
    assert (changes.new, changes.gone) == ((), ())


GOOD = '[[waivers]]\ncheck = "dam"\nreason = "r"\nexpires = 2026-12-01\n'


def read(text: str, folder: Path) -> tuple[Waiver, ...]:
    path = folder / "k8sdiag.toml"
    path.write_text(text)
    return config.waivers(config.read(path), ["dam"], path)


def test_waivers_are_read_in_their_order(tmp_path: Path) -> None:
    first, second = read(GOOD + GOOD.replace('check = "dam"', 'code = "dam/x"'), tmp_path)

    assert first == Waiver(check="dam", reason="r", expires=date(2026, 12, 1))
    assert second.code == "dam/x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("waivers = 1", "must be a list of tables", id="no table"),
        pytest.param("[waivers]\nx = 1", "must be a list of tables", id="one table"),
        pytest.param("waivers = [1]", "Expected `object`, got `int`", id="a number"),
        pytest.param(GOOD.replace('check = "dam"\n', ""), "one of check and code", id="of nothing"),
        pytest.param(GOOD + 'code = "dam/x"', "one of check and code", id="both"),
        pytest.param(GOOD.replace('"dam"', '"dan"'), 'no such check "dan"', id="unknown check"),
        pytest.param(GOOD.replace("check", "code"), "write CHECK/FINDING", id="no code"),
        pytest.param(GOOD.replace('"dam"', '"dam/x"'), "is a finding's code", id="no check"),
        pytest.param(GOOD.replace('reason = "r"\n', ""), "field `reason`", id="no reason"),
        pytest.param(GOOD.replace('"r"', '" "'), "its reason is empty", id="an empty reason"),
        pytest.param(GOOD.replace("expires", "expire"), "unknown field `expire`", id="a typo"),
        pytest.param(GOOD.replace("expires = 2026-12-01", ""), "field `expires`", id="for ever"),
        pytest.param(GOOD.replace("2026-12-01", '"soon"'), "Invalid RFC3339", id="no date"),
        pytest.param(GOOD + 'subject = ""', "its subject is empty", id="an empty subject"),
    ],
)
def test_a_mistake_is_said_with_file_and_place(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=says) as error:
        read(text, tmp_path)

    assert str(error.value).startswith(f"{tmp_path}/k8sdiag.toml: ")
    assert "number 1" in str(error.value) or "list of tables" in says


def test_the_command_line_waives(tmp_path: Path) -> None:
    file = tmp_path / "k8sdiag.toml"
    command = ("audit", "--demo", "--check", "etcd-quota", "--config", str(file))
    file.write_text("")
    loud = k8sdiag(*command)
    file.write_text(GOOD.replace("dam", "etcd-quota").replace("2026", "2999"))
    quiet = k8sdiag(*command)
    file.write_text(GOOD.replace("dam", "etcd-quota").replace("2026", "2001"))
    again = k8sdiag(*command)
    file.write_text(GOOD)
    wrong = k8sdiag(*command)

    assert (loud.returncode, again.returncode, wrong.returncode) == (1, 1, 2)
    assert quiet.returncode != 1
    assert "WAIVED  etcd-quota/" in quiet.stdout
    assert "expired on 2001-12-01" in again.stdout
    assert wrong.stderr.startswith(f"k8sdiag: {file}: [[waivers]] number 1: no such check")


def test_the_file_that_the_page_shows_is_taken(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()
    file = tmp_path / "k8sdiag.toml"
    file.write_text("\n".join(re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)))
    settings, checks = config.read(file), plugins.checks()

    assert config.apply(settings, checks, file) != checks
    assert len(config.waivers(settings, checks, file)) == 2


def test_waivers_that_say_nothing_stand_under_a_head_of_their_own() -> None:
    text = table.render(waive(report(finding()), [waiver("gate")]))

    assert "\n\nWAIVERS\n\nWAIVER\n  matches no finding" in text
    assert "counts for nothing" not in text
