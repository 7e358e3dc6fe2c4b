"""Report -> Prometheus metric families, for the one-shot format and for the served one alike."""

import re
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric as Family

from k8sdiag import model
from k8sdiag.model import Outcome, Report, Severity, Snapshot, Status

PREFIX = "k8sdiag_"


def families(report: Report, *, states: bool = True) -> Iterator[Family]:
    """Every number of a report, each family once.

    Which `states` a check is in costs five series a check: one report on a cluster affords
    that, the exporter on each of 5,000 nodes does not and leaves them to the success series.
    """
    yield gauge(
        "build_info", "Which k8sdiag this is; always 1.", [({"version": report.version}, 1)]
    )
    if report.lab:
        help_ = "These are numbers of a recorded lab, not of this cluster; always 1."
        yield gauge("lab_recording_info", help_, [({"recording": report.lab}, 1)])
    yield gauge(
        "snapshot_timestamp_seconds",
        "When the facts behind these numbers were taken, since the epoch.",
        [({}, report.taken_at.timestamp())],
    )
    yield from _of_checks(report.outcomes, states)
    yield from _of_usages(report.outcomes)
    yield from _of_metrics(report.outcomes)


def gauge(name: str, help_: str, samples: Iterable[tuple[dict[str, str], float]]) -> Family:
    family = Family(PREFIX + name, help_, "gauge")
    for labels, value in samples:
        family.add_sample(PREFIX + name, labels, value)
    return family


def _of_checks(outcomes: Iterable[Outcome], states: bool) -> Iterator[Family]:
    outcomes = sorted(outcomes, key=lambda o: o.check)
    yield gauge(
        "check_success",
        "Whether all that was asked of the check could be judged; "
        "0: unknown, which is not the same as fine.",
        [({"check": o.check}, o.whole) for o in outcomes],
    )
    yield gauge(
        "check_findings",
        "How many findings the check has; meaningless where its success is 0.",
        [
            ({"check": o.check, "severity": s}, sum(f.severity is s for f in o.findings))
            for o in outcomes
            for s in Severity
        ],
    )
    yield gauge(
        "check_duration_seconds",
        "How long it took to gather the facts that the check needs.",
        [({"check": o.check}, o.duration_seconds) for o in outcomes],
    )
    if states:
        name = "check_status"
        yield gauge(
            name,
            "Which state the check ended in: 1 for that one, 0 for the others.",
            [({"check": o.check, "status": s}, o.status is s) for o in outcomes for s in Status],
        )


def _of_usages(outcomes: Iterable[Outcome]) -> Iterator[Family]:
    usages = {
        (u.limit_id, u.subject): u
        for o in outcomes
        for u in sorted(o.usages, key=lambda u: (u.limit_id, u.subject))
    }
    rows = [({"limit_id": i, "subject": s, "unit": u.unit}, u) for (i, s), u in usages.items()]
    if rows:
        help_ = "How much of a limit is used, in the unit of the label."
        yield gauge("usage", help_, [(labels, u.used) for labels, u in rows])
        help_ = "The limit itself, in the unit of the label."
        yield gauge("usage_limit", help_, [(labels, u.limit) for labels, u in rows])


def _of_metrics(outcomes: Iterable[Outcome]) -> Iterator[Family]:
    """One family a name, whichever checks gave it; of the same series twice, the first."""
    found: dict[str, Family] = {}
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for metric in (m for o in sorted(outcomes, key=lambda o: o.check) for m in o.metrics):
        series = (metric.name, frozenset(metric.labels.items()))
        if series in seen:
            continue
        seen.add(series)
        family = found.setdefault(metric.name, _family(metric))
        suffix = "_total" if family.type == "counter" else ""
        family.add_sample(family.name + suffix, metric.labels, metric.value)
    yield from found.values()


def _family(metric: model.Metric) -> Family:
    # The client library puts _total behind a counter's name by itself.
    name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
    return Family(PREFIX + name, metric.help, metric.kind)


def looks(snapshot: Snapshot) -> Iterator[Family]:
    """How the looking itself went, a collector for each fact that was asked for."""
    asked = {name for name, missing in snapshot.missing.items() if missing.asked}
    labels = {n: {"collector": _snake(n)} for n in sorted(asked | snapshot.facts.keys())}
    yield gauge(
        "scrape_collector_duration_seconds",
        "How long the collector took.",
        [(label, snapshot.seconds.get(name, 0.0)) for name, label in labels.items()],
    )
    seen = {name for name, fact in snapshot.facts.items() if not fact.gaps}
    yield gauge(
        "scrape_collector_success",
        "Whether the collector saw all it looks for.",
        [(label, name in seen) for name, label in labels.items()],
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
