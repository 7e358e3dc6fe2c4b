"""What downloads share with each other, and what unpacking shares: two resources each."""

import heapq
import math


class Share:
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
