"""What kubelets say of their pods, read once for all who want some of it.

The API server keeps no index of events: whatever is asked for, it reads all of them from etcd, and
there are hundreds of thousands. So there is one list, and it leaves out what nobody here wants.
"""

import time
from datetime import datetime

from msgspec import Struct

from k8sdiag.model import Permission
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes

LIST = Permission(resource="events")

KUBELETS = "source=kubelet,involvedObject.kind=Pod"
PULLED, FAILED, DNS = "Pulled", "Failed", "DNSConfigForming"
# What kubelets write most of beside these; a field selector has no "or".
REST = ("Pulling", "Created", "Started", "Killing", "BackOff", "Unhealthy", "FailedMount")
# Of each page, etcd counts all that remain: few large pages keep it busy for less than many small.
PAGE = 2000
MOST = 100_000  # that are looked at
KEPT = 20_000  # of each reason; rates need hundreds of pulls, not all
SECONDS = 40.0  # after which what was seen has to do


class Origin(Struct, frozen=True, gc=False):
    component: str = ""
    host: str = ""


class Involved(Struct, frozen=True, gc=False):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class Series(Struct, frozen=True, rename="camel", gc=False):
    count: int = 0
    last_observed_time: datetime | None = None


class Event(Struct, frozen=True, rename="camel", gc=False):
    """Of both APIs: events.k8s.io fills in `series` and eventTime, the older one the others."""

    reason: str = ""
    involved_object: Involved = Involved()
    message: str | None = ""
    source: Origin = Origin()
    reporting_component: str = ""
    reporting_instance: str = ""
    count: int | None = 0
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: Series | None = None

    @property
    def node(self) -> str:
        return self.source.host or self.reporting_instance


class Events(Struct, frozen=True):
    by_reason: dict[str, list[Event]]  # PULLED, FAILED and DNS, each from kubelets alone
    gap: str = ""  # why not all of them were seen


def read(reader: Kubernetes) -> Events:
    """Of all three reasons. Raises Unavailable when none can be read."""
    return reader.once(_all)


def only(reader: Kubernetes, reason: str) -> Events:
    """Of one reason, for who wants no other. Raises Unavailable when none can be read."""
    return _read(reader, f"{KUBELETS},reason={reason}")


def _all(reader: Kubernetes) -> Events:
    return _read(reader, ",".join([KUBELETS, *(f"reason!={r}" for r in REST)]))


def _read(reader: Kubernetes, selector: str) -> Events:
    found: dict[str, list[Event]] = {PULLED: [], FAILED: [], DNS: []}
    params = {"fieldSelector": selector}
    end = time.monotonic() + SECONDS
    looked, gap = 0, ""
    try:
        for page in reader.pages("/api/v1/events", Event, LIST, limit=PAGE, params=params):
            for event in page:
                # Field selectors are the server's; what they let through is still looked at.
                kubelet = "kubelet" in (event.source.component, event.reporting_component)
                mine = found.get(event.reason)
                if kubelet and mine is not None and len(mine) < KEPT:
                    mine.append(event)
            looked += len(page)
            if looked >= MOST or time.monotonic() > end:
                gap = f"only {looked} were read, to spare the API server"
                break
    except Incomplete as error:
        gap = str(error)
    return Events(found, gap)
