"""An event simulation of one node's image pulls: pure, deterministic, in seconds and bytes.

What the kubelet does (pkg/kubelet/images, pkg/kubelet/kuberuntime): every pod asks for its images
one after the other and holds a slot for each pull; slots are given in the order of asking. A pull
that finds no token of registryPullQPS is refused, and its pod backs off. Several pods may pull
the same image: the first brings the bytes, the others wait for it. What the container runtime
does: a pull resolves its name, then downloads and unpacks, which overlap. Downloads share the
link and, where the runtime counts them by node, its streams; unpacking shares cores and the disk.
"""

import heapq
import math
from collections import deque

from msgspec import Struct

from k8sdiag.coldstart import ColdStart, Puller, Rates, download_seconds, unpack_seconds
from k8sdiag.pulls.share import Share

FIRST_BACKOFF, LAST_BACKOFF = 10.0, 300.0  # imageBackOffPeriod and MaxImageBackOff of the kubelet
_AGAIN, _RETRY = -1, -2  # what a timer is for, where it is not for an image
_SPREAD = (math.sqrt(5) - 1) / 2  # its multiples lie evenly between 0 and 1


class Pulled(Struct, frozen=True):
    """How the pulls of one node went."""

    pods: tuple[float, ...]  # of each pod, when its last image is there
    refused: int = 0  # pulls that found no token

    @property
    def seconds(self) -> float:
        return max(self.pods, default=0.0)


def simulate(start: ColdStart, puller: Puller, rates: Rates) -> Pulled:
    """All pods ask at second 0, in their order. Without contention a pull takes pull_seconds()."""
    return _Node(start, puller, rates).run()


class _Node:
    def __init__(self, start: ColdStart, puller: Puller, rates: Rates) -> None:
        images = start.images
        self._pods = start.pods
        self._puller, self._rates = puller, rates
        self._download = [download_seconds(i, puller, rates) for i in images]
        self._unpack = [unpack_seconds(i, rates) for i in images]
        # What a pull takes of each resource when nothing slows it down.
        self._of_links = [
            (
                _part(i.compressed_bytes / rates.link_bytes_per_second, d),
                _part(i.compressed_bytes / rates.stream_bytes_per_second, d),
            )
            for i, d in zip(images, self._download, strict=True)
        ]
        self._of_disk = [
            (
                _part(i.compressed_bytes / rates.gunzip_bytes_per_second, u),
                _part(i.uncompressed_bytes / rates.disk_bytes_per_second, u),
            )
            for i, u in zip(images, self._unpack, strict=True)
        ]
        streams = float(puller.streams) if puller.streams_per_node else math.inf
        self._downloads = Share(1.0, streams)
        self._unpacks = Share(puller.cpus, 1.0)
        self._timers: list[tuple[float, int, int, int]] = []  # when, order, pod, image or less
        self._now = 0.0
        self._count = 0
        self._slots = puller.slots
        self._tokens, self._filled = float(puller.burst), 0.0
        self._queue: deque[int] = deque()
        self._position = [0] * len(start.pods)
        self._backoff = [FIRST_BACKOFF] * len(start.pods)
        self._done = [0.0] * len(start.pods)
        self._refused = 0
        self._waiting: dict[int, list[int]] = {}  # image on its way -> pods that hold a slot for it
        self._present = [False] * len(images)
        self._downloaded = [False] * len(images)
        self._paused = [False] * len(images)  # unpacked as far as it can before the last bytes

    def run(self) -> Pulled:
        for pod in range(len(self._pods)):
            self._ask(pod)
        self._start()
        downloads, unpacks, timers = self._downloads, self._unpacks, self._timers
        while timers or downloads.due or unpacks.due:
            timer = timers[0][0] - self._now if timers else math.inf
            download, unpack = downloads.left(), unpacks.left()
            step = max(0.0, min(timer, download, unpack))
            self._now += step
            downloads.clock += step * downloads.speed
            unpacks.clock += step * unpacks.speed
            if timer <= step:
                _, _, pod, image = heapq.heappop(timers)
                self._timer(pod, image)
            elif download <= step:
                _, _, image, last = heapq.heappop(downloads.due)
                self._downloading(image, last)
            else:
                _, _, image, last = heapq.heappop(unpacks.due)
                self._unpacking(image, last)
        return Pulled(tuple(self._done), self._refused)

    def _ask(self, pod: int) -> None:
        """Go on to the pod's next image that is not there, and queue for a slot."""
        images = self._pods[pod]
        while self._position[pod] < len(images) and self._present[images[self._position[pod]]]:
            self._position[pod] += 1
        if self._position[pod] < len(images):
            self._queue.append(pod)
        else:
            self._done[pod] = self._now

    def _start(self) -> None:
        while self._queue and self._slots >= 1:
            pod = self._queue.popleft()
            image = self._pods[pod][self._position[pod]]
            if not self._token():
                self._refuse(pod)
                continue
            self._slots -= 1
            if self._present[image]:
                self._after(self._rates.again_seconds, pod, _AGAIN)
            elif image in self._waiting:
                self._waiting[image].append(pod)
            else:
                self._waiting[image] = [pod]
                self._after(self._rates.overhead_seconds, pod, image)

    def _token(self) -> bool:
        """flowcontrol.NewTokenBucketRateLimiter(qps, burst).TryAccept()."""
        qps, burst = self._puller.qps, self._puller.burst
        if not qps:
            return True
        self._tokens = min(burst, self._tokens + qps * (self._now - self._filled))
        self._filled = self._now
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True

    def _refuse(self, pod: int) -> None:
        self._refused += 1
        spread = 1 + self._puller.jitter * ((pod * _SPREAD) % 1)
        self._after(self._backoff[pod] * spread, pod, _RETRY)
        self._backoff[pod] = min(LAST_BACKOFF, 2 * self._backoff[pod])

    def _after(self, seconds: float, pod: int, image: int) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self._now + seconds, self._count, pod, image))

    def _timer(self, pod: int, image: int) -> None:
        if image == _RETRY:
            self._ask(pod)
            self._start()
        elif image == _AGAIN:
            self._next(pod)
        else:
            self._downloads.load(self._of_links[image], 1)
            self._downloads.after(self._rates.overlap * self._download[image], image, last=False)
            self._downloads.after(self._download[image], image, last=True)

    def _downloading(self, image: int, last: bool) -> None:
        rest = self._rates.overlap * self._unpack[image]
        if not last:  # the first layer is there: unpack it
            self._unpacks.load(self._of_disk[image], 1)
            self._unpacks.after(self._unpack[image] - rest, image, last=False)
            return
        self._downloads.load(self._of_links[image], -1)
        self._downloaded[image] = True
        if self._paused[image]:
            self._unpacks.load(self._of_disk[image], 1)
            self._unpacks.after(rest, image, last=True)

    def _unpacking(self, image: int, last: bool) -> None:
        if not last and self._downloaded[image]:
            self._unpacks.after(self._rates.overlap * self._unpack[image], image, last=True)
            return
        self._unpacks.load(self._of_disk[image], -1)
        if not last:
            self._paused[image] = True
            return
        self._present[image] = True
        first, *others = self._waiting.pop(image)
        for pod in others:
            self._after(self._rates.again_seconds, pod, _AGAIN)
        self._next(first)

    def _next(self, pod: int) -> None:
        """The pod has its image: its slot is free, and it asks for the next one."""
        self._slots += 1
        self._position[pod] += 1
        self._backoff[pod] = FIRST_BACKOFF
        self._ask(pod)
        self._start()


def _part(alone: float, whole: float) -> float:
    return alone / whole if whole else 0.0
