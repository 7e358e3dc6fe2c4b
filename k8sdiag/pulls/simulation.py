"""How long one node's image pulls take at least: pure, deterministic, in seconds and bytes.

What the kubelet does (pkg/kubelet/images, pkg/kubelet/kuberuntime): every pod asks for its images
one after the other and holds a slot for each pull; slots are given in the order of asking. A pull
that finds no token of registryPullQPS is refused, and its pod backs off. Several pods may pull
the same image: the first brings the bytes, the others wait for it. Pulls share the node's link,
its download streams where the runtime counts them by node, its cores and its disk.

More slots, bandwidth or cores never make a time longer here, and more bytes never make it
shorter. In a simulation of events they can: a further slot by a quarter, the others by 5 %. There
who asks next depends on who is done first, so that one change reorders all that follows (Graham's
anomalies), and the pull that all wait for in the end shares with more others. Here the order
depends on no time, all pods' first images and then all pods' next ones, and each time is a sum,
maximum or minimum of times before it, as in the recursion of Kiefer and Wolfowitz for a queue with
several servers; so it only grows with them. What the order can't tell is left out: a slot never
idles while the pod that comes next is not ready, for another one takes it; and of what is shared,
a pull gets no more than each one that asked before it.

With one slot this is what events give. With more it is a little less, 95 % and more in half of
random cases and 60 % in the worst, for the end of all pulls; rarely it is more, where the order is
another one (tests/pulls/test_fair_sharing.py). One thing does take longer with more slots, as it
does at the kubelet: with more of them than registryBurst it refuses pulls.
"""

import heapq
from collections.abc import Iterator
from itertools import count, repeat

from msgspec import Struct

from k8sdiag.coldstart import ColdStart, Image, Puller, Rates, pull_seconds

FIRST_BACKOFF, LAST_BACKOFF = 10.0, 300.0  # imageBackOffPeriod and MaxImageBackOff of the kubelet


class Pulled(Struct, frozen=True):
    """How the pulls of one node went."""

    pods: tuple[float, ...]  # of each pod, when its last image is there, at least
    seconds: float = 0.0  # when all are, at least: also what is shared has to be through


def simulate(start: ColdStart, puller: Puller, rates: Rates) -> Pulled:
    """All pods ask at second 0, in their order. Without contention a pull takes pull_seconds()."""
    return _Node(start, puller, rates).run()


def admitted(puller: Puller) -> Iterator[float]:
    """From when on the kubelet lets the first, the second, ... pull start that is asked for.

    With no more slots than tokens in the bucket, pulls come one by one: then it is when there is
    a token. With more, all come at once, and those without a token come again after each back-off
    and its jitter; the older ones get the tokens first.
    """
    if not puller.qps:
        yield from repeat(0.0)
    full = max(1, puller.burst)
    yield from repeat(0.0, full)
    if puller.slots <= full:
        yield from (n / puller.qps for n in count(1))
    at = spread = tokens = 0.0
    backoff = FIRST_BACKOFF
    while True:
        at += backoff
        tokens = min(full, tokens + puller.qps * (backoff - spread))
        spread = puller.jitter * backoff
        until = tokens + puller.qps * spread
        yield from (at + max(0.0, n - tokens) / puller.qps for n in range(1, int(until) + 1))
        tokens = until % 1
        backoff = min(LAST_BACKOFF, 2 * backoff)


class _Ask(Struct, frozen=True):
    pod: int
    image: int
    slot: float  # when there is one for it
    again: float  # what it takes where another pod has brought the image


class _Node:
    def __init__(self, start: ColdStart, puller: Puller, rates: Rates) -> None:
        pods = self._pods = start.pods
        self._again = rates.again_seconds
        self._overhead = rates.overhead_seconds
        self._alone = [pull_seconds(image, puller, rates) for image in start.images]
        self._shared = [_shared(image, puller, rates) for image in start.images]
        self._free = [0.0] * int(min(puller.slots, sum(map(len, pods))))  # a heap of slots
        self._admitted = admitted(puller)
        self._next = [0] * len(pods)  # which of its images a pod comes to
        self._done = [0.0] * len(pods)
        self._there: dict[int, float] = {}  # when an image is
        self._fair: dict[int, float] = {}  # before which it can't be
        self._asks = 0
        self._first: dict[int, int] = {}  # image -> the number of the first ask for it
        self._last = [-1] * len(pods)  # the number of the pod's last ask

    def run(self) -> Pulled:
        pods = list(range(len(self._pods)))
        while pods:
            asks = [ask for pod in pods if (ask := self._ask(pod))]
            for ask in asks:
                there = max(self._done[ask.pod], ask.slot, self._there[ask.image])
                self._done[ask.pod] = there + ask.again
            pods = [ask.pod for ask in asks]
        shared = sum(self._shared[image] for image in self._there)
        all_through = shared + self._overhead if self._there else 0.0
        return Pulled(tuple(self._done), max(all_through, *self._done, 0.0))

    def _ask(self, pod: int) -> _Ask | None:
        """Queue for the pod's next image that is not there when its turn comes."""
        images = self._pods[pod]
        while True:
            if self._next[pod] == len(images):
                return None
            image = images[self._next[pod]]
            self._next[pod] += 1
            if self._first.get(image, self._asks) >= self._last[pod]:
                break
            self._bring(pod, image, self._free[0])
            self._done[pod] = max(self._done[pod], self._there[image])
        slot = max(self._free[0], next(self._admitted))
        if image in self._first:
            self._bring(pod, image, slot)
            # Whether a later ask has to wait for the image depends on time: it is taken not to.
            waits = max(slot, self._there[image]) if self._last[pod] < 0 else slot
            again = self._again
            heapq.heapreplace(self._free, waits + again)
        else:
            self._first[image] = self._asks
            self._fair[image] = self._behind(image)
            self._bring(pod, image, slot)
            again = 0.0
            heapq.heapreplace(self._free, slot + self._alone[image])
        self._last[pod] = self._asks
        self._asks += 1
        return _Ask(pod, image, slot, again)

    def _bring(self, pod: int, image: int, slot: float) -> None:
        """Whoever can pull it first brings it, though others may have asked before."""
        own = max(self._done[pod], slot) + self._alone[image]
        there = self._there.get(image, own)
        self._there[image] = max(self._fair[image], min(own, there))

    def _behind(self, image: int) -> float:
        """Each image asked for before has got as much of what is shared, or all that it takes."""
        mine = self._shared[image]
        if not mine:
            return 0.0
        others = (self._shared[other] for other in self._there)
        return mine + sum(other if other < mine else mine for other in others)


def _shared(image: Image, puller: Puller, rates: Rates) -> float:
    """Seconds for which the image would take all of what the node's pulls share."""
    size = image.compressed_bytes
    streams = rates.stream_bytes_per_second * puller.streams
    return max(
        size / rates.link_bytes_per_second,
        size / streams if puller.streams_per_node else 0.0,
        size / (rates.gunzip_bytes_per_second * puller.cpus),
        image.uncompressed_bytes / rates.disk_bytes_per_second,
    )
