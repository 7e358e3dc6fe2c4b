"""The alert rules: of metrics that we export only, each tried both ways, each with its page."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8sdiag import plugins, run, scrape
from k8sdiag.families import families
from k8sdiag.judge import judge
from k8sdiag.model import Report
from k8sdiag.readers.host import Host
from k8sdiag.refresh import Refresh

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "prometheus"
RECORDED = ROOT / "tests" / "testdata" / "neighbor" / "near" / "proc"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "k8sdiag.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
TESTS = yaml.safe_load((FOLDER / "k8sdiag.test.yml").read_text())["tests"]


@pytest.fixture(scope="module")
def report() -> Report:
    return judge(plugins.checks().values(), run.load_demo())


@pytest.fixture(scope="module")
def exported(report: Report) -> set[str]:
    """The names of all that the exporters give for the demo and for a recorded host."""
    checks = run.of_this_host(plugins.checks(), scraped=True)
    host = Host(procfs=RECORDED, look_seconds=0)
    served = [
        *families(report),
        *scrape.node(checks.values(), host)(10),
        *Refresh(lambda: report, 1, None).scrape(1),  # type: ignore[arg-type]
    ]
    return {sample.name for family in served for sample in family.samples}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_a_rule_asks_only_for_what_is_exported(rule: dict[str, Any], exported: set[str]) -> None:
    names = set(re.findall(r"\bk8sdiag_\w+", rule["expr"]))

    assert names
    assert names <= exported
    assert set(re.findall(r"\b[a-z]+_[a-z_]+(?=[{\[])", rule["expr"])) <= names


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_a_limit_that_a_rule_names_is_one_that_a_check_has(
    rule: dict[str, Any], report: Report
) -> None:
    """A limit's id is written in the check that has it, or the demo has a usage of it."""
    sources = "\n".join(path.read_text() for path in (ROOT / "checks").glob("*.py"))
    known = set(re.findall(r'limit_id=f?"([^"]+)"', sources))
    known |= {said.limit_id for o in report.outcomes for said in o.usages}

    for ids in re.findall(r'limit_id=~?"([^"]+)"', rule["expr"]):
        for one in ids.replace("neighbor-ipv[46]", "neighbor-{table.family}").split("|"):
            assert one in known


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_a_rule_is_tried_both_ways(rule: dict[str, Any]) -> None:
    tries = [t for t in TESTS if t["name"].startswith(f"{rule['alert']}: ")]
    expected = [bool(t["promql_expr_test"][0]["exp_samples"]) for t in tries]

    assert all(f'"{rule["alert"]}"' in t["promql_expr_test"][0]["expr"] for t in tries)
    assert {True, False} == set(expected)


def test_nothing_is_tried_that_is_no_rule() -> None:
    alerts = {rule["alert"] for rule in RULES}

    assert {t["name"].partition(": ")[0] for t in TESTS} == alerts


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_a_rule_has_a_page_a_summary_and_a_severity(rule: dict[str, Any]) -> None:
    page = ROOT / rule["annotations"]["runbook_url"]

    assert page.is_file()
    assert f"`{rule['alert']}`" in (ROOT / "docs" / "exporters.md").read_text()
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    assert "{{" in rule["annotations"]["description"]
