"""The eye on the API server: one request at a time, no retries, short deadlines."""

import time

from k8sdiag.facts.signals import Answer, Counters, NodeStates, PodWarnings, Unseen
from k8sdiag.model import Cost, Permission, Unavailable
from k8sdiag.readers.https import Connection, Dropped, Reply
from k8sdiag.readers.kubeconfig import Login, one_line
from k8sdiag.sources import _watch_pages

PING = "/version"  # costs nothing, needs no etcd, and nearly everybody may
PROBE_SECONDS = 3.0
READ_SECONDS = 5.0  # without etcd /readyz takes 4 s: two of its checks wait 2 s each
LARGE_EVERY = 15.0  # nodes and /metrics
SECOND_AFTER = 5.0  # /metrics once more: the first page has no rates
EVENTS_EVERY = 30.0  # the server goes through all events to find the warnings
CALM_SECONDS = 1.0  # a server that takes longer for a ping is not asked for events
PAGES = 10
WAITING = Unseen("no answer yet")


class ApiEye:
    def __init__(self, login: Login) -> None:
        self.lists: dict[str, Answer] = {}
        self.counters: tuple[Counters | None, Counters] | Unseen = WAITING
        self.nodes: NodeStates | Unseen = WAITING
        self.warnings: PodWarnings | Unseen = WAITING
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
        self._probe, _ = self._ask(PING, PROBE_SECONDS)
        self._asked_at = 0.0
        if not self._probe.status:
            self.lose(self._probe.why)
            return
        self.lists["/readyz"], _ = self._ask("/readyz", READ_SECONDS)
        if not self.lists["/readyz"].status:
            reason = f"not read while /readyz does not answer: {self.lists['/readyz'].why}"
            self.lists = {"/readyz": self.lists["/readyz"]}
            self.nodes = self.warnings = self.counters = Unseen(reason)
            return
        if self._is_due("nodes", LARGE_EVERY):
            self.nodes = self._nodes()
        if self._is_due("metrics", LARGE_EVERY):
            self.counters = self._counters()
        if self._is_due("events", EVENTS_EVERY):
            self.warnings = self._warnings()

    def lose(self, reason: str) -> None:
        self._probe, self._asked_at = Answer(status=0, why=reason), 0.0
        self.lists = {}
        self.nodes = self.warnings = self.counters = Unseen(reason)
        self._due = dict.fromkeys(self._due, 0.0)  # all of it at once when it answers again

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
        self.lists.pop("events", None)  # else one refusal would be the last word
        calm = all(a.status in (200, 401, 403) for a in self.lists.values())
        if not calm or (self._probe and self._probe.seconds > CALM_SECONDS):
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
        if last is None or last.started != now.started:
            self._due["metrics"] = time.monotonic() + SECOND_AFTER
            return None, now
        return last, now

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
