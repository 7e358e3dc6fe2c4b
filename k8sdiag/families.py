"""Report -> Prometheus metric families, for the one-shot format and for the served one alike."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping

from k8sdiag import model
from k8sdiag.exposition import Family
from k8sdiag.model import Outcome, Report, Severity, Snapshot, Status, Usage

log = logging.getLogger(__name__)

PREFIX = "k8sdiag_"


def families(
    report: Report,
    *,
    states: bool = True,
    most_usages: int | None = None,
    most_series: int | None = None,
) -> Iterator[Family]:
    """Every number of a report, each family once.

    Which `states` a check is in costs five series a check: one report on a cluster affords
    that, the exporter on each of 5,000 nodes does not and leaves them to the success series.
    Of the subjects of one limit and of the series of one metric there are at most so many, and
    how many were left out is a number too.
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
    yield from _of_usages(report.outcomes, most_usages)
    yield from _of_metrics(report.outcomes, most_series)


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
        [({"check": o.check}, o.whole and all(map(_sound, o.metrics))) for o in outcomes],
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
    if any(o.waived for o in outcomes):
        yield gauge(
            "check_waived_findings",
            "How many findings of the check are waived, which are not counted among the others.",
            [({"check": o.check}, len(o.waived)) for o in outcomes if o.waived],
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


def _of_usages(outcomes: Iterable[Outcome], most: int | None) -> Iterator[Family]:
    limits: dict[str, dict[str, Usage]] = {}
    for usage in (u for o in outcomes for u in o.usages):
        subjects = limits.setdefault(usage.limit_id, {})
        subject = _no_pod(usage.subject)
        if subject not in subjects or subjects[subject].ratio < usage.ratio:
            subjects[subject] = usage
    rows = []
    for limit_id, subjects in sorted(limits.items()):
        nearest = sorted(subjects.items(), key=lambda found: (-found[1].ratio, found[0]))[:most]
        for subject, usage in nearest:
            rows.append(({"limit_id": limit_id, "subject": subject, "unit": usage.unit}, usage))
    if rows:
        help_ = "How much of a limit is used, in the unit of the label."
        yield gauge("usage", help_, [(labels, u.used) for labels, u in rows])
        help_ = "The limit itself, in the unit of the label."
        yield gauge("usage_limit", help_, [(labels, u.limit) for labels, u in rows])
    if most is not None:
        yield gauge(
            "usages_left_out",
            f"How many subjects of the limit are not shown: all but the {most} nearest to it.",
            [({"limit_id": i}, max(0, len(s) - most)) for i, s in sorted(limits.items())],
        )


def _no_pod(subject: str) -> str:
    """Pods without a workload count as those of their namespace: names of pods never end."""
    kind, _, rest = subject.partition("/")
    return f"pods/{rest.partition('/')[0]}" if kind == "pod" else subject


def _of_metrics(outcomes: Iterable[Outcome], most: int | None) -> Iterator[Family]:
    """One family a name, whichever checks gave it; of the same series twice, the first."""
    found: dict[str, Family] = {}
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    left_out: dict[str, int] = {}
    for metric in (m for o in sorted(outcomes, key=lambda o: o.check) for m in o.metrics):
        if not _sound(metric):
            log.error("%s is no metric: a bug of its check", metric)
            continue
        series = (metric.name, frozenset(metric.labels.items()))
        if series in seen:
            continue
        seen.add(series)
        family = found.setdefault(metric.name, _family(metric))
        if most is not None and len(family.samples) >= most:
            left_out[metric.name] = left_out.get(metric.name, 0) + 1
            continue
        suffix = "_total" if family.type == "counter" else ""
        family.add_sample(family.name + suffix, metric.labels, metric.value)
    yield from found.values()
    if most is not None:
        yield gauge(
            "series_left_out",
            f"How many series of the metric are not shown: all but {most}.",
            [({"metric": PREFIX + name}, count) for name, count in sorted(left_out.items())],
        )


def _sound(metric: model.Metric) -> bool:
    """Whether it can be written down: one of a plugin that can't must not cost all the others."""
    words = (*metric.labels, *metric.labels.values(), metric.help)
    return (
        re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) is not None
        and metric.kind in ("gauge", "counter")
        and isinstance(metric.value, int | float)
        and all(isinstance(word, str) for word in words)
        and all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)
    )


def _family(metric: model.Metric) -> Family:
    # The client library puts _total behind a counter's name by itself.
    name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
    return Family(PREFIX + name, metric.help, metric.kind)


def looks(snapshot: Snapshot, ages: Mapping[str, float]) -> Iterator[Family]:
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
    yield gauge(
        "scrape_collector_age_seconds",
        "How old what it saw is: files of kubelet and runtime are read once a minute at most, "
        "and what is derived from them is as old; the kernel is asked at each scrape.",
        [(label, ages[name]) for name, label in labels.items() if name in ages],
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
