"""What has changed since the watch began."""

from datetime import datetime

from msgspec import Struct

from k8sdiag.watching.nouns import Level, Verdict


class Entry(Struct, frozen=True):
    """A line of the timeline: from now on it is so."""

    at: datetime
    verdict: Verdict


class Timeline:
    """Keeps the first and the last verdict of each subject and every change between."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.now: list[Verdict] = []
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self._first: dict[str, Verdict] = {}
        self._last: dict[str, Verdict] = {}

    def take(self, at: datetime, found: list[Verdict]) -> list[Entry]:
        """What has changed with this look, worst first."""
        self.began = self.began or at
        self.ended = at
        self.now = found
        changed = []
        for verdict in found:
            last = self._last.get(verdict.subject)
            if last is None or (last.kind, last.level) != (verdict.kind, verdict.level):
                changed.append(Entry(at, verdict))
            self._last[verdict.subject] = verdict
            if verdict.value is not None:
                self._first.setdefault(verdict.subject, verdict)
        self.entries += changed
        return changed

    def since_start(self, verdict: Verdict) -> tuple[float, str] | None:
        """What its number has gained since the start, and the unit; None: no number then or now."""
        first = self._first.get(verdict.subject)
        if verdict.value is None or first is None or first.value is None:
            return None
        return verdict.value - first.value, verdict.unit

    @property
    def critical(self) -> bool:
        """Whether anything critical was seen at any time."""
        return any(e.verdict.level is Level.CRITICAL for e in self.entries)

    @property
    def whole(self) -> bool:
        """Whether the last look saw all it was asked for."""
        return bool(self.now) and all(v.whole and v.level is not Level.UNKNOWN for v in self.now)
