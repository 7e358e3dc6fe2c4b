"""The eyes of `k8sdiag watch`: each asks one party again and again, none waits for another.

No retries and short deadlines: that there is no answer is the answer. The API server gets one
request at a time; what is larger than a ping comes every 15 s at most, and stops while the server
has no breath for it.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from k8sdiag.facts.signals import (
    Answer,
    Counters,
    EtcdState,
    Fleet,
    NodeStates,
    PodWarnings,
    Unseen,
)
from k8sdiag.model import Cost, Permission, Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.https import Connection, Dropped, Reply
from k8sdiag.readers.kubeconfig import Login, one_line
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import _watch_fleet, _watch_pages
from k8sdiag.sources._etcd_answer import Page, member, read_page
from k8sdiag.watching import Look

FIRST_SECONDS = 4.0  # until the first look, whoever has answered by then
PROBE_SECONDS = 3.0
READ_SECONDS = 5.0
LARGE_EVERY = 15.0  # nodes and /metrics
EVENTS_EVERY = 30.0  # the server goes through all events to find the warnings
CALM_SECONDS = 1.0  # a server that takes longer for a ping is not asked for events
PAGES = 10

_WAITING = Unseen("no answer yet")


class Eyes:
    """What each eye saw last."""

    def __init__(
        self, login: Login, etcd: Etcd | None, prometheus: Prometheus | None, interval: float
    ) -> None:
        self._api = ApiEye(login)
        self._etcd = {url: EtcdEye(etcd, url) for url in etcd.endpoints} if etcd else {}
        self._fleet = FleetEye(prometheus) if prometheus else None
        self._parties = (etcd, prometheus)
        self._begin = time.monotonic()
        self._first: list[threading.Event] = []
        eyes: list[tuple[Callable[[], None], float]] = [(self._api.blink, interval)]
        eyes += [(eye.blink, interval) for eye in self._etcd.values()]
        if self._fleet:
            eyes.append((self._fleet.blink, max(interval, LARGE_EVERY)))
        for blink, pause in eyes:
            done = threading.Event()
            self._first.append(done)
            # Daemons: a server that says nothing must not hold up the end.
            threading.Thread(target=_again, args=(blink, pause, done), daemon=True).start()

    def first_look(self) -> Look:
        """Once all have answered, or after FIRST_SECONDS."""
        for done in self._first:
            done.wait(max(0.0, self._begin + FIRST_SECONDS - time.monotonic()))
        return self.look()

    def look(self) -> Look:
        api = self._api
        return Look(
            at=datetime.now(UTC),
            probe=api.latest_probe(),
            lists=dict(api.lists),
            counters=api.counters,
            nodes=api.nodes,
            warnings=api.warnings,
            etcd={url: eye.state for url, eye in self._etcd.items()} or None,
            fleet=self._fleet.fleet if self._fleet else None,
        )

    @property
    def cost(self) -> Cost:
        parties = (p.cost for p in self._parties if p)
        seconds = Cost(seconds=time.monotonic() - self._begin)
        return sum(parties, start=self._api.cost + seconds)


def _again(blink: Callable[[], None], pause: float, done: threading.Event) -> None:
    while True:
        begin = time.monotonic()
        blink()
        done.set()
        # At least a second of rest, for whoever takes long to answer.
        time.sleep(max(1.0, begin + pause - time.monotonic()))


class ApiEye:
    def __init__(self, login: Login) -> None:
        self.lists: dict[str, Answer] = {}
        self.counters: tuple[Counters | None, Counters] | Unseen = _WAITING
        self.nodes: NodeStates | Unseen = _WAITING
        self.warnings: PodWarnings | Unseen = _WAITING
        self.cost = Cost()
        self._connection = Connection(login, gzip=False, accept=_watch_pages.ACCEPT)
        self._probe: Answer | None = None
        self._asked_at = time.monotonic()  # the probe that is under way; 0: none is
        self._due = {"nodes": 0.0, "metrics": 0.0, "events": 0.0}

    def latest_probe(self) -> Answer:
        """The last answer; a ping that is under way for longer than it may is none."""
        waits = time.monotonic() - self._asked_at if self._asked_at else 0.0
        if waits > PROBE_SECONDS or self._probe is None:
            return Answer(status=0, why=f"no answer for {waits:.0f} s")
        return self._probe

    def blink(self) -> None:
        self._asked_at = time.monotonic()
        self._probe, _ = self._ask("/readyz", PROBE_SECONDS)
        self._asked_at = 0.0
        if not self._probe.status:
            self.lists.clear()
            self.nodes = self.warnings = self.counters = Unseen(self._probe.why)
            return
        if self._is_due("nodes", LARGE_EVERY):
            self.nodes = self._nodes()
        if self._is_due("metrics", LARGE_EVERY):
            self.counters = self._counters()
        if self._is_due("events", EVENTS_EVERY):
            self.warnings = self._warnings()

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + seconds
        return True

    def _nodes(self) -> NodeStates | Unseen:
        answer, rows, left = self._table("/api/v1/nodes", "limit=500")
        self.lists["nodes"] = answer
        if rows is None:
            return _unseen("nodes", answer, Permission(resource="nodes"))
        return _watch_pages.nodes(rows, left)

    def _warnings(self) -> PodWarnings | Unseen:
        probe, nodes = self._probe, self.lists.get("nodes")
        calm = all(a is None or a.status in (200, 401, 403) for a in (probe, nodes))
        if not calm or (probe and probe.seconds > CALM_SECONDS):
            return Unseen("events are not read while the API server is in trouble")
        answer, rows, left = self._table("/api/v1/events", "limit=500&fieldSelector=type%3DWarning")
        self.lists["events"] = answer
        if rows is None:
            return _unseen("events", answer, Permission(resource="events"))
        return _watch_pages.warnings(rows, more=bool(left))

    def _counters(self) -> tuple[Counters | None, Counters] | Unseen:
        answer, reply = self._ask("/metrics", READ_SECONDS)
        self.lists["/metrics"] = answer
        if reply is None or reply.status != 200:
            return _unseen("/metrics", answer, Permission(resource="/metrics", verb="get"))
        try:
            now = _watch_pages.counters(reply.body, time.monotonic())
        except ValueError as error:
            return Unseen(f"/metrics: {error}")
        last = None if isinstance(self.counters, Unseen) else self.counters[1]
        same = last is not None and last.started == now.started
        return (last if same else None, now)

    def _table(self, path: str, query: str) -> tuple[Answer, list[_watch_pages.Row] | None, int]:
        """(the last answer, the rows, how many more there are); rows are None without the first."""
        rows: list[_watch_pages.Row] = []
        token, left = "", 0
        end = time.monotonic() + READ_SECONDS
        for page in range(PAGES):
            more = f"&continue={token}" if token else ""
            target = f"{path}?{query}&includeObject=None{more}"
            answer, reply = self._ask(target, max(0.1, end - time.monotonic()))
            if reply is None or reply.status != 200:
                return answer, rows if page else None, left
            try:
                found, token, left = _watch_pages.table(reply.body)
            except ValueError as error:
                return Answer(status=200, why=str(error)), None, 0
            rows += found
            if not token:
                break
        return answer, rows, left

    def _ask(self, target: str, seconds: float) -> tuple[Answer, Reply | None]:
        begin = time.monotonic()
        try:
            try:
                reply = self._once(target, seconds)
            except Dropped:  # as a server does with connections that it has kept for long
                reply = self._once(target, seconds)
        except Unavailable as error:
            return Answer(status=0, why=str(error)), None
        took = time.monotonic() - begin
        why = "" if reply.status == 200 else _watch_pages.refusal(reply.body)
        return Answer(status=reply.status, seconds=took, why=one_line(why)), reply

    def _once(self, target: str, seconds: float) -> Reply:
        self.cost += Cost(api_requests=1)
        self._connection.send(target, seconds)
        reply = self._connection.receive()
        self.cost += Cost(api_bytes=reply.wire_bytes)
        return reply


def _unseen(what: str, answer: Answer, needs: Permission) -> Unseen:
    if answer.status == 403:
        return Unseen(f"{what}: grant {needs}")
    if not answer.status or answer.status == 200:
        return Unseen(f"{what}: {answer.why}")
    return Unseen(f"{what}: the API server answers {answer.status}")


class EtcdEye:
    def __init__(self, etcd: Etcd, url: str) -> None:
        self.state: EtcdState | Unseen = _WAITING
        self._etcd, self._url = etcd, url
        self._page: Page | None = None  # for the quota, which a Status before 3.6 lacks

    def blink(self) -> None:
        try:
            with self._etcd.ask(self._url) as asked:
                if self._page is None:
                    try:
                        self._page = read_page(asked.metrics())
                    except Unavailable:
                        self._page = Page()
                seen = member(self._url, self._url, asked.status(), self._page)
        except Unavailable as error:
            self.state = Unseen(str(error))
            return
        told = seen.quota_bytes > 0 and not seen.quota_assumed
        self.state = EtcdState(
            db_bytes=seen.db_bytes,
            quota_bytes=seen.quota_bytes if told else None,
            alarms=tuple(sorted({alarm.kind for alarm in seen.alarms or ()})),
            has_leader=seen.has_leader,
        )


class FleetEye:
    def __init__(self, prometheus: Prometheus) -> None:
        self.fleet: Fleet | Unseen = _WAITING
        self._prometheus = prometheus

    def blink(self) -> None:
        try:
            self.fleet = _watch_fleet.look(self._prometheus)
        except Unavailable as error:
            self.fleet = Unseen(str(error))
