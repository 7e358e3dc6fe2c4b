"""Failed image pulls: kubelets' events of them, and pods that wait for an image."""

import time
from collections.abc import Iterator

from msgspec import Struct

from k8sdiag.facts.pull_failures import PullFailure, PullFailures
from k8sdiag.model import Permission, Unavailable
from k8sdiag.pulls import errors
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes
from k8sdiag.sources import _events, _pod
from k8sdiag.sources._events import Event, Series
from k8sdiag.sources._pod import workload

PODS = Permission(resource="pods")
PERMISSIONS = (_events.LIST, PODS)

PAGE = 500
MOST = 20_000  # pods that are looked at
SECONDS = 20.0  # after which what was seen has to do


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

    def event(self, event: Event) -> None:
        found = errors.of_event(event.message or "")
        if not found:
            return
        image, cause = found
        series = event.series or Series()
        times = (event.last_timestamp, event.event_time, series.last_observed_time)
        self._add(
            (cause, event.involved_object.namespace, image, ""),
            event.node,
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
    try:
        # The server goes through all events for either; a quick look takes less of them along.
        quick = reader.quick
        events = _events.only(reader, _events.FAILED) if quick else _events.read(reader)
        failed = events.by_reason[_events.FAILED]
        looked["events"] = len(failed)
        for event in failed:  # beside these, "Error: ErrImagePull" tells nothing more
            rows.event(event)
        if events.gap:
            gaps["events"] = events.gap
    except Unavailable as error:
        gaps["events"] = str(error)
    try:
        looked["pods"] = _pending(reader, rows, gaps)
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


def _pending(reader: Kubernetes, rows: _Rows, gaps: dict[str, str]) -> int:
    """How many pods were looked at. Only from here: the rest of a list is let go of so."""
    end = time.monotonic() + SECONDS
    params = {"fieldSelector": "status.phase=Pending"}
    looked = 0
    try:
        for page in reader.pages("/api/v1/pods", _Pod, PODS, limit=PAGE, params=params):
            for pod in page:
                rows.pod(pod)
            looked += len(page)
            if looked >= MOST or time.monotonic() > end:
                gaps["pods"] = f"only {looked} were read, to spare the API server"
                break
    except Incomplete as error:
        gaps["pods"] = str(error)
    return looked
