"""The API server, by how it answers us and what it counts of its answers to all."""

from collections.abc import Iterator

from k8sdiag.facts.signals import Unseen
from k8sdiag.watching.nouns import Level, Look, Verdict, WatchLimits


def api_server(look: Look, limits: WatchLimits) -> Iterator[Verdict]:
    def say(kind: str, level: Level, message: str) -> Verdict:
        seconds = look.probe.seconds if look.probe.status else None
        return Verdict(
            subject="api-server",
            kind=kind,
            level=level,
            message=message,
            value=seconds,
            unit="seconds" if seconds is not None else "",
        )

    for what, answer in {"/version": look.probe, **look.lists}.items():
        if not answer.status:
            yield say("no-answer", Level.CRITICAL, f"{what}: {answer.why}")
        elif answer.status == 429:
            yield say("too-many-requests", Level.CRITICAL, f"{what}: it answers 429, too busy")
        elif answer.status >= 500:
            told = f"{what}: it answers {answer.status}: {answer.why}"
            yield say("failing", Level.CRITICAL, told)
        elif answer.status == 401:
            yield say("credentials", Level.UNKNOWN, f"{what}: it refuses the credentials (401)")
        elif what == "/version" and answer.seconds > limits.slow_seconds:
            yield say("slow", Level.WARNING, f"{what} took {answer.seconds:.1f} s")
        elif what == "/version":
            yield say("ok", Level.OK, f"{what} took {answer.seconds * 1000:.0f} ms")
    if isinstance(look.counters, Unseen):
        yield say("unseen", Level.UNKNOWN, f"its rates: {look.counters.reason}")
        return
    before, now = look.counters
    if before is None:
        return
    requests = now.requests - before.requests
    window = f"in {now.at - before.at:.0f} s"
    for kind, bad, what in (
        ("failing", now.failed - before.failed, "were answered with 5xx"),
        ("too-many-requests", now.rejected - before.rejected, "were refused with 429"),
    ):
        if bad >= limits.fewest and bad >= limits.failing * requests:
            told = f"{bad:,.0f} of {requests:,.0f} requests {what} {window}"
            yield say(kind, Level.CRITICAL, told)
        elif bad >= limits.fewest:
            yield say(
                kind, Level.WARNING, f"{bad:,.0f} of {requests:,.0f} requests {what} {window}"
            )
