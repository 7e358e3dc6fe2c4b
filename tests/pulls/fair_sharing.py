"""An event simulation of one node's image pulls, to hold the bounds of k8sdiag.pulls against.

Each pull goes as fast as all that share something with it allow, all of them slowed down alike;
slots are given in the order of asking. No pull is ever refused here.
"""

import heapq
import math
from collections import deque

from k8sdiag.coldstart import ColdStart, Puller, Rates, download_seconds, unpack_seconds

_AGAIN = -1  # what a timer is for, where it is not for an image


def events(start: ColdStart, puller: Puller, rates: Rates) -> tuple[float, ...]:
    """When each pod has its last image. All ask at second 0, in their order."""
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
        self._downloads = _Share(1.0, streams)
        self._unpacks = _Share(puller.cpus, 1.0)
        self._timers: list[tuple[float, int, int, int]] = []  # when, order, pod, image or less
        self._now = 0.0
        self._count = 0
        self._slots = puller.slots
        self._queue: deque[int] = deque()
        self._position = [0] * len(start.pods)
        self._done = [0.0] * len(start.pods)
        self._waiting: dict[int, list[int]] = {}  # image on its way -> pods that hold a slot for it
        self._present = [False] * len(images)
        self._downloaded = [False] * len(images)
        self._paused = [False] * len(images)  # unpacked as far as it can before the last bytes

    def run(self) -> tuple[float, ...]:
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
        return tuple(self._done)

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
            self._slots -= 1
            if self._present[image]:
                self._after(self._rates.again_seconds, pod, _AGAIN)
            elif image in self._waiting:
                self._waiting[image].append(pod)
            else:
                self._waiting[image] = [pod]
                self._after(self._rates.overhead_seconds, pod, image)

    def _after(self, seconds: float, pod: int, image: int) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self._now + seconds, self._count, pod, image))

    def _timer(self, pod: int, image: int) -> None:
        if image == _AGAIN:
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
        self._ask(pod)
        self._start()


def _part(alone: float, whole: float) -> float:
    return alone / whole if whole else 0.0


class _Share:
    """Work on two resources of which it may want more than there is: then all slows down alike.

    Every item advances at the same part of its own full speed, so one clock of done work serves
    all: an event is due when the clock reaches it.
    """

    def __init__(self, first: float, second: float) -> None:
        self.clock = 0.0
        self.due: list[tuple[float, int, int, bool]] = []  # when, order, image, whether its last
        self._count = 0
        self._most = (first, second)
        self._loads = (0.0, 0.0)
        self._busy = 0
        self.speed = 1.0

    def load(self, loads: tuple[float, float], items: int) -> None:
        """One item more, or with -1 one less."""
        self._busy += items
        a, b = self._loads
        self._loads = a, b = (
            (a + items * loads[0], b + items * loads[1]) if self._busy else (0.0, 0.0)
        )
        speed = 1.0
        if a > self._most[0]:
            speed = self._most[0] / a
        if b * speed > self._most[1]:
            speed = self._most[1] / b
        self.speed = speed

    def after(self, work: float, image: int, *, last: bool) -> None:
        self._count += 1
        heapq.heappush(self.due, (self.clock + work, self._count, image, last))

    def left(self) -> float:
        """Seconds until the next event, if nothing changes before."""
        return (self.due[0][0] - self.clock) / self.speed if self.due else math.inf
