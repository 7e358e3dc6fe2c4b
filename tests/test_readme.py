"""The README shows the beginning of what the demo really prints."""

import os
from pathlib import Path

from k8sdiag import plugins, run
from k8sdiag.exporters import table
from k8sdiag.judge import judge

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- demo -->\n", "<!-- /demo -->"
SHOWN = 2  # findings


def test_the_demo_asks_for_one_value_of_each_sysctl() -> None:
    report = judge(plugins.checks().values(), run.load_demo())
    asked: dict[str, set[str]] = {}
    for outcome in report.outcomes:
        for finding in outcome.findings:
            for command in finding.remedy.commands if finding.remedy else ():
                if command.startswith("sysctl -w "):
                    key, _, value = command.removeprefix("sysctl -w ").partition("=")
                    asked.setdefault(key, set()).add(value)

    assert "net.ipv4.neigh.default.gc_thresh3" in asked
    assert {key: values for key, values in asked.items() if len(values) > 1} == {}


def test_the_readme_shows_what_the_demo_prints() -> None:
    report = judge(plugins.checks().values(), run.load_demo())
    printed = table.render(report, width=100)
    parts = printed.split("\n\n")
    heads = [i for i, part in enumerate(parts) if part.startswith(("CRITICAL", "WARNING"))]
    shown = "\n\n".join(parts[: heads[SHOWN]]) + "\n\n..."
    block = f"{BEGIN}```\n{shown}\n```\n{END}"
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if os.environ.get("K8SDIAG_WRITE_GOLDEN"):
        README.write_text(before + block + after)

    assert block in README.read_text()
