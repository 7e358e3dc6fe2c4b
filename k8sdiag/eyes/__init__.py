"""The eyes of `k8sdiag watch`: each asks one party again and again, none waits for another.

No retries and short deadlines: that there is no answer is the answer. The API server gets one
request at a time; what is larger than a ping comes every 15 s at most, and stops while the server
has no breath for it.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from k8sdiag.eyes.api_server import LARGE_EVERY, WAITING, ApiEye
from k8sdiag.facts.signals import EtcdState, Fleet, Unseen
from k8sdiag.model import Cost, Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.kubeconfig import Login
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import _watch_fleet
from k8sdiag.sources._etcd_answer import Page, member, read_page
from k8sdiag.watching import Look

log = logging.getLogger(__name__)

FIRST_SECONDS = 4.0  # until the first look, whoever has answered by then


class Eyes:
    """What each eye saw last."""

    def __init__(
        self,
        login: Login,
        etcd: Etcd | None,
        prometheus: Callable[[], Prometheus] | None,
        interval: float,
    ) -> None:
        self._api = ApiEye(login)
        self._etcd = {url: EtcdEye(etcd, url) for url in etcd.endpoints} if etcd else {}
        self._fleet = FleetEye(prometheus) if prometheus else None
        self._parties = (self._api, etcd, self._fleet)
        self._begin = time.monotonic()
        self._first: list[threading.Event] = []
        eyes: list[tuple[_Eye, float]] = [(self._api, interval)]
        eyes += [(eye, interval) for eye in self._etcd.values()]
        if self._fleet:
            eyes.append((self._fleet, max(interval, LARGE_EVERY)))
        for eye, pause in eyes:
            done = threading.Event()
            self._first.append(done)
            # Daemons: a server that says nothing must not hold up the end.
            threading.Thread(target=_again, args=(eye, pause, done), daemon=True).start()

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
        return sum(parties, start=Cost(seconds=time.monotonic() - self._begin))


class _Eye(Protocol):
    def blink(self) -> None:
        """Look once."""

    def lose(self, reason: str) -> None:
        """What was seen before is no more what is."""


def _again(eye: _Eye, pause: float, done: threading.Event) -> None:
    while True:
        begin = time.monotonic()
        try:
            eye.blink()
        except Exception as error:
            log.debug("an eye of watch raised", exc_info=True)
            eye.lose(f"a bug of k8sdiag: it raised {error!r}")
        done.set()
        # At least a second of rest, for whoever takes long to answer.
        time.sleep(max(1.0, begin + pause - time.monotonic()))


class EtcdEye:
    def __init__(self, etcd: Etcd, url: str) -> None:
        self.state: EtcdState | Unseen = WAITING
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
            self.lose(str(error))
            return
        told = seen.quota_bytes > 0 and not seen.quota_assumed
        self.state = EtcdState(
            db_bytes=seen.db_bytes,
            quota_bytes=seen.quota_bytes if told else None,
            alarms=tuple(sorted({alarm.kind for alarm in seen.alarms or ()})),
            has_leader=seen.has_leader,
        )

    def lose(self, reason: str) -> None:
        self.state = Unseen(reason)


class FleetEye:
    def __init__(self, opened: Callable[[], Prometheus]) -> None:
        self.fleet: Fleet | Unseen = WAITING
        self.cost = Cost()
        self._opened = opened

    def blink(self) -> None:
        prometheus = self._opened()  # anew: one that could not be reached is not asked again
        try:
            self.fleet = _watch_fleet.look(prometheus)
        except Unavailable as error:
            self.lose(str(error))
        finally:
            self.cost += prometheus.cost

    def lose(self, reason: str) -> None:
        self.fleet = Unseen(reason)
