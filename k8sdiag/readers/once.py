"""What several sources want to see through one door is looked at once."""

from collections.abc import Callable
from typing import Self, TypeVar, cast

T = TypeVar("T")


class Once:
    def __init__(self) -> None:
        self._seen: dict[object, object] = {}

    def once(self, read: Callable[[Self], T]) -> T:
        """What `read` sees through this door; whoever wants it again gets the same."""
        if read not in self._seen:
            self._seen[read] = read(self)
        return cast(T, self._seen[read])
