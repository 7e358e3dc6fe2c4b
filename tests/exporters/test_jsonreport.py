import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import k8sdiag
from k8sdiag.exporters import jsonreport
from tests.exporters.golden import assert_page
from tests.exporters.reports import FOUR_FAILURES, HOSTILE, REPORTS

SCHEMA = json.loads((Path(k8sdiag.__file__).parent / "report.schema.json").read_text())


def closed(schema: Any) -> Any:
    """The schema without room for properties that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if schema.get("type") == "object" else {}
    return {key: closed(value) for key, value in schema.items()} | more


VALIDATOR = jsonschema.Draft202012Validator(
    closed(SCHEMA), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", REPORTS)
def test_the_schema_names_all_that_a_report_holds(name: str) -> None:
    VALIDATOR.validate(json.loads(jsonreport.render(REPORTS[name])))


def without(key: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(jsonreport.render(FOUR_FAILURES))
    del report[key]
    return report


def with_outcome(**fields: object) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(jsonreport.render(FOUR_FAILURES))
    report["outcomes"][0] |= fields
    return report


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(without("nearestLimits"), id="a key is gone"),
        pytest.param(with_outcome(status="fine"), id="a status that does not exist"),
        pytest.param(with_outcome(status="ok"), id="ok with findings"),
        pytest.param(with_outcome(findings=[]), id="findings without any"),
        pytest.param(
            with_outcome(status="skipped", findings=[], reason=""), id="skipped without a reason"
        ),
        pytest.param(with_outcome(metrics=[]), id="a key that the schema does not name"),
    ],
)
def test_the_schema_refuses(report: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(report)


def test_page() -> None:
    assert_page("four-failures.json", jsonreport.render(FOUR_FAILURES))


def test_no_character_of_a_hostile_text_is_lost() -> None:
    report = json.loads(jsonreport.render(HOSTILE))

    assert report["cluster"] == HOSTILE.cluster
    assert report["outcomes"][0]["findings"][0]["message"] == (
        HOSTILE.outcomes[0].findings[0].message
    )
