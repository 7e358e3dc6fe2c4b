"""What changed between two reports, and how it counts."""

import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from k8sdiag.compare import compare
from k8sdiag.exporters import jsonreport, markdown, table
from k8sdiag.facts.etcd import EtcdMember, EtcdMembers, EtcdSeenByAPIServer
from k8sdiag.model import ConfigError, Finding, Outcome, Report, Severity, Snapshot, Status, Usage
from k8sdiag.output import exit_code
from k8sdiag.snapshot import save

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = Path(__file__).parents[1] / "k8sdiag" / "report.schema.json"
W, C = Severity.WARNING, Severity.CRITICAL


def finding(subject: str, severity: Severity = W, code: str = "one/near") -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message=f"{subject} is near")


def usage(subject: str, used: float) -> Usage:
    return Usage(
        limit_id="pods", subject=subject, used=used, limit=100, unit="pods", driver="nodes"
    )


def report(
    *said: Finding | Usage, days: float = 0, status: Status | None = None, reason: str = ""
) -> Report:
    outcomes = []
    for check in ("one", "two"):
        found = tuple(f for f in said if isinstance(f, Finding) and f.code.startswith(check))
        usages = tuple(u for u in said if isinstance(u, Usage) and check == "one")
        own = status if check == "one" and status else Status.FINDINGS if found else Status.OK
        outcomes.append(
            Outcome(
                check=check,
                title=check,
                status=own,
                reason=reason if check == "one" else "",
                findings=found,
                usages=usages,
            )
        )
    when = THEN + timedelta(days=days)
    return Report(cluster="prod", taken_at=when, version="1", outcomes=tuple(outcomes))


def test_the_noise_of_a_sum_is_no_change() -> None:
    changes = compare(report(usage("x", 0.1 + 0.2)), report(usage("x", 0.3), days=1))

    assert changes.moved == ()


def test_the_same_twice_has_no_changes() -> None:
    old = report(finding("a"), usage("x", 5))
    changes = compare(old, replace(old, taken_at=THEN + timedelta(days=1)))

    groups = (changes.new, changes.worse, changes.better, changes.gone, changes.unseen)
    assert groups == ((), (), (), (), ())
    assert (changes.unjudged, changes.moved) == ((), ())


def test_new_worse_better_and_gone() -> None:
    old = report(finding("same"), finding("grew"), finding("shrank", C), finding("left"))
    new = report(finding("came"), finding("same"), finding("grew", C), finding("shrank", W), days=1)
    changes = compare(old, new)

    assert [f.subject for f in changes.new] == ["came"]
    assert [(f.subject, f.severity) for f in changes.worse] == [("grew", C)]
    assert [(f.subject, f.severity) for f in changes.better] == [("shrank", W)]
    assert [f.subject for f in changes.gone] == ["left"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(Status.SKIPPED, "no kubeconfig", id="skipped"),
        pytest.param(Status.PARTIAL, "node-7: no answer", id="partial"),
        pytest.param(Status.ERROR, "a bug", id="error"),
    ],
)
def test_what_was_not_judged_again_is_not_gone(status: Status, reason: str) -> None:
    changes = compare(report(finding("a")), report(days=1, status=status, reason=reason))

    assert changes.gone == ()
    assert [f.subject for f in changes.unseen] == ["a"]
    assert changes.unjudged == ("one",)


def test_a_renamed_subject_is_gone_and_new() -> None:
    """Nobody can tell a renamed node from another one with the same trouble."""
    changes = compare(report(finding("node/a")), report(finding("node/b"), days=1))

    assert [f.subject for f in changes.gone] == ["node/a"]
    assert [f.subject for f in changes.new] == ["node/b"]


def test_the_order_of_the_input_does_not_matter() -> None:
    said: list[Finding | Usage]
    said = [finding("a"), finding("b", C), finding("b"), usage("x", 5), usage("y", 6)]
    later: list[Finding | Usage] = [
        finding("c"),
        finding("b"),
        usage("y", 9),
        usage("x", 9),
        finding("a", C),
    ]
    pages = {
        jsonreport.changes(replace(new, changes=compare(report(*olds), new)))
        for olds in itertools.permutations(said)
        for news in (later, later[::-1])
        for new in [report(*news, days=2)]
    }

    # The report's own order is judge's; what changed depends on none.
    assert len(pages) == 1


def test_usages_with_their_slope() -> None:
    old = report(usage("a", 10), usage("b", 50), usage("c", 7), usage("d", 1))
    new = report(usage("a", 30), usage("b", 40), usage("c", 7), usage("e", 1), days=2)
    moved = compare(old, new).moved

    assert [(m.usage.subject, m.before, m.per_day) for m in moved] == [
        ("a", 10, 10),
        ("b", 50, -5),
    ]


def test_looks_that_are_too_near_have_no_slope() -> None:
    (moved,) = compare(report(usage("a", 10)), report(usage("a", 11), days=1 / 48)).moved

    assert moved.per_day is None


def test_a_baseline_of_the_future() -> None:
    with pytest.raises(ConfigError, match="swap the two"):
        compare(report(days=1), report())


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        pytest.param(report(finding("a", C)), report(finding("a", C), days=1), 0, id="known"),
        pytest.param(report(), report(finding("a"), days=1), 0, id="new, but a warning"),
        pytest.param(report(), report(finding("a", C), days=1), 1, id="new"),
        pytest.param(report(finding("a")), report(finding("a", C), days=1), 1, id="worse"),
        pytest.param(
            report(status=Status.SKIPPED, reason="x"),
            report(status=Status.SKIPPED, reason="x", days=1),
            0,
            id="could not be judged then either",
        ),
        pytest.param(
            report(), report(status=Status.SKIPPED, reason="x", days=1), 3, id="judged then"
        ),
    ],
)
def test_only_what_is_new_counts_when_asked(old: Report, new: Report, code: int) -> None:
    judged = replace(new, changes=compare(old, new))

    assert exit_code(judged, "critical", only_new=True) == code


def test_every_format_tells_the_changes() -> None:
    old = report(finding("left"), usage("x", 10))
    new = report(finding("came|\x1b[31m"), usage("x", 30), days=2)
    judged = replace(new, changes=replace(compare(old, new), cluster="other"))
    pages = [table.render(judged), markdown.render(judged)]

    assert "Since 2026-03-01 12:00:00 UTC (of other): 1 new, 1 gone" in pages[0]
    assert "NEW  one/near  came|\\x1b[31m" in pages[0]
    assert "+10 pods" in pages[0]
    assert "- gone: `one/near` `left`" in pages[1]
    assert all("\x1b" not in page for page in pages)
    document = json.loads(jsonreport.render(judged))
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["changes"]["moved"][0]["perDay"] == 10
    assert "changes" not in json.loads(jsonreport.render(new))


def kept(path: Path, db_bytes: int, days: float) -> Path:
    member = EtcdMember(
        id="a",
        name="etcd-0",
        endpoint="https://10.0.0.1:2379",
        db_bytes=db_bytes,
        in_use_bytes=db_bytes,
        quota_bytes=2 << 30,
        quota_source="Status",
        alarms=(),
    )
    facts = {
        "EtcdMembers": EtcdMembers(members=(member,)),
        "EtcdSeenByAPIServer": EtcdSeenByAPIServer(db_bytes={"etcd-0": db_bytes}),
    }
    save(Snapshot(cluster="prod", taken_at=THEN + timedelta(days=days), facts=facts), path)
    return path


def k8sdiag(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "k8sdiag", *map(str, args), "--check", "etcd-quota"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        check=False,
    )


def test_diff_and_baseline_on_snapshots(tmp_path: Path) -> None:
    old = kept(tmp_path / "old.json.gz", 1 << 30, 0)
    new = kept(tmp_path / "new.json.gz", int(1.9 * (1 << 30)), 2)
    diff, again = k8sdiag("diff", old, new), k8sdiag("diff", old, new)

    assert diff.stdout == again.stdout
    assert diff.returncode == 1
    assert "NEW  etcd-quota/outgrown  etcd/etcd-0" in diff.stdout
    assert "etcd-db-size" in diff.stdout
    assert "+461 MiB" in diff.stdout
    assert json.loads(k8sdiag("diff", old, new, "-o", "json").stdout)["kind"] == "Diff"
    assert k8sdiag("audit", new).returncode == 1
    assert k8sdiag("audit", new, "--baseline", new, "--fail-on-new").returncode == 0
    assert k8sdiag("audit", new, "--baseline", old, "--fail-on-new").returncode == 1
    assert "NEW  etcd-quota/outgrown" in k8sdiag("audit", new, "--baseline", old).stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["audit", "--demo", "--fail-on-new"], "give --baseline OLD"),
        (["audit", "--demo", "--baseline", "none.json.gz"], "No such file"),
        (["diff", "none.json.gz", "none.json.gz"], "No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(args: list[str], says: str) -> None:
    done = k8sdiag(*args)

    assert says in done.stderr
    assert done.returncode == 2


def test_swapped_snapshots(tmp_path: Path) -> None:
    old = kept(tmp_path / "old.json.gz", 1, 0)
    new = kept(tmp_path / "new.json.gz", 1, 2)
    done = k8sdiag("diff", new, old)

    assert "swap the two" in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


def test_what_may_be_among_the_others_is_not_gone() -> None:
    before = report(finding("a"), finding("b", code="one/other"))
    after = report(finding("others"), days=1)

    changes = compare(before, after)

    assert [f.subject for f in changes.unseen] == ["a"]
    assert [f.subject for f in changes.gone] == ["b"]
