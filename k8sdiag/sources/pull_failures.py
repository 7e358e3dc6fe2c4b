"""Failed image pulls: kubelets' events of them, and pods that wait for an image."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from k8sdiag.facts.pull_failures import PullFailure, PullFailures
from k8sdiag.model import Permission, Unavailable
from k8sdiag.pulls import errors
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes
from k8sdiag.sources import _pod
from k8sdiag.sources._pod import workload

EVENTS = Permission(resource="events")
PODS = Permission(resource="pods")
PERMISSIONS = (EVENTS, PODS)

T = TypeVar("T")

PAGE = 500
MOST = 20_000  # of events and of pods that are looked at
SECONDS = 20.0  # after which what was seen has to do


class _From(Struct, frozen=True, gc=False):
    component: str = ""
    host: str = ""


class _Object(Struct, frozen=True, gc=False):
    namespace: str = ""


class _Series(Struct, frozen=True, rename="camel", gc=False):
    count: int = 0
    last_observed_time: datetime | None = None


class _Event(Struct, rename="camel", gc=False):
    """Of both APIs: events.k8s.io fills in `series` and eventTime, the older one the others."""

    involved_object: _Object = _Object()
    message: str | None = ""
    source: _From = _From()
    reporting_component: str = ""
    reporting_instance: str = ""
    count: int | None = 0
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None


class _Waiting(Struct, frozen=True, gc=False):
    reason: str = ""
    message: str = ""


class _State(Struct, frozen=True, gc=False):
    waiting: _Waiting | None = None


class _Container(Struct, frozen=True, gc=False):
    image: str = ""
    state: _State = _State()


class _Status(Struct, frozen=True, rename="camel", gc=False):
    container_statuses: tuple[_Container, ...] = ()
    init_container_statuses: tuple[_Container, ...] = ()


class _Pod(Struct, gc=False):
    metadata: _pod._Metadata
    spec: _pod.PodSpec
    status: _Status = _Status()


_Key = tuple[str, str, str, str]  # cause, namespace, image, workload


class _Rows:
    """Failures, added up by what they have in common."""

    def __init__(self) -> None:
        # The nodes; failures, pods that wait, and when it failed last.
        self._sums: dict[_Key, tuple[set[str], list[float]]] = {}

    def event(self, event: _Event) -> None:
        if "kubelet" not in (event.source.component, event.reporting_component):
            return
        found = errors.of_event(event.message or "")
        if not found:
            return
        image, cause = found
        series = event.series or _Series()
        times = (event.last_timestamp, event.event_time, series.last_observed_time)
        self._add(
            (cause, event.involved_object.namespace, image, ""),
            event.source.host or event.reporting_instance,
            count=max(event.count or 0, series.count, 1),
            at=max((t.timestamp() for t in times if t), default=0.0),
        )

    def pod(self, pod: _Pod) -> None:
        seen = set()
        for container in pod.status.init_container_statuses + pod.status.container_statuses:
            waiting, image = container.state.waiting, container.image
            if waiting is None:
                continue
            cause = errors.of_waiting(waiting.reason, waiting.message, image)
            if cause is None or (cause, image) in seen:
                continue
            seen.add((cause, image))
            owner = workload(_pod.Pod(pod.metadata, pod.spec)).subject
            key = (cause, pod.metadata.namespace, image, owner)
            self._add(key, pod.spec.node_name, waiting=1)

    def _add(
        self, key: _Key, node: str, *, count: int = 0, waiting: int = 0, at: float = 0.0
    ) -> None:
        nodes, counts = self._sums.setdefault(key, (set(), [0, 0, 0.0]))
        nodes.update({node} - {""})
        counts[:] = [counts[0] + count, counts[1] + waiting, max(counts[2], at)]

    def failures(self) -> Iterator[PullFailure]:
        for key, (nodes, (count, waiting, at)) in sorted(self._sums.items()):
            cause, namespace, image, owner = key
            yield PullFailure(
                cause=cause,
                image=image,
                namespace=namespace,
                workload=owner,
                nodes=tuple(sorted(nodes)),
                count=int(count),
                waiting=int(waiting),
                last_at=at,
            )


def collect(reader: Kubernetes) -> PullFailures:
    rows = _Rows()
    gaps: dict[str, str] = {}
    looked: dict[str, int] = {}
    # All of these are warnings of pods; "Error: ErrImagePull" beside them tells nothing more.
    failed, pending = "reason=Failed,involvedObject.kind=Pod", "status.phase=Pending"
    try:
        looked["events"] = _read(reader, EVENTS, _Event, failed, rows.event, gaps)
    except Unavailable as error:
        gaps["events"] = str(error)
    try:
        looked["pods"] = _read(reader, PODS, _Pod, pending, rows.pod, gaps)
    except Unavailable as error:
        gaps["pods"] = str(error)
    if not looked:
        raise Unavailable("; ".join(dict.fromkeys(gaps.values())))
    return PullFailures(
        failures=tuple(rows.failures()),
        gaps=gaps,
        provenance=f"{looked.get('events', 0)} events of reason Failed, "
        f"{looked.get('pods', 0)} pending pods",
    )


def _read(
    reader: Kubernetes,
    needs: Permission,
    item: type[T],
    selector: str,
    add: Callable[[T], None],
    gaps: dict[str, str],
) -> int:
    """How many objects were looked at. Only from here: the rest of a list is let go of so."""
    end = time.monotonic() + SECONDS
    path, params = f"/api/v1/{needs.resource}", {"fieldSelector": selector}
    looked = 0
    try:
        for page in reader.pages(path, item, needs, limit=PAGE, params=params):
            for each in page:
                add(each)
            looked += len(page)
            if looked >= MOST or time.monotonic() > end:
                gaps[needs.resource] = f"only {looked} were read, to spare the API server"
                break
    except Incomplete as error:
        gaps[needs.resource] = str(error)
    return looked
