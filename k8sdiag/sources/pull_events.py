"""How long image pulls took, from the kubelets' own events."""

import re
import time

from msgspec import Struct

from k8sdiag.facts.pulls import ImagePulls, Pull
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes
from k8sdiag.sources._kubelet import duration_seconds

LIST = Permission(resource="events")
PERMISSIONS = (LIST,)

PAGE = 500
MOST = 20_000  # events that are looked at; the server reads many more to find these
SECONDS = 20.0  # after which what was seen has to do

# The forms of pkg/kubelet/images/image_manager.go: up to 1.19 without times; then with one that
# includes waiting; from 1.26 on (and patches of 1.23 to 1.25) with both; from 1.30 on with the
# size as well.
_DURATION = r"[0-9.hmsuµn]{1,32}"
_PULLED = re.compile(
    r'Successfully pulled image "(?P<image>[^"\s]{1,1024})"'
    rf"(?: in (?P<pull>{_DURATION})(?: \((?P<total>{_DURATION}) including waiting\))?)?"
    r"(?:\. Image size: (?P<size>\d{1,18}) bytes\.)?"
)


class _From(Struct, frozen=True, gc=False):
    component: str = ""
    host: str = ""


class _Event(Struct, rename="camel", gc=False):
    message: str | None = ""
    source: _From = _From()
    reporting_component: str = ""
    reporting_instance: str = ""


def collect(reader: Kubernetes) -> ImagePulls:
    if reader.quick:  # the server goes through all events to find these
        raise Unavailable("a quick look reads no events")
    selector = {"fieldSelector": "reason=Pulled"}
    pages = reader.pages("/api/v1/events", _Event, LIST, limit=PAGE, params=selector)
    end = time.monotonic() + SECONDS
    found: list[Pull] = []
    looked = 0
    gaps = {}
    try:
        for page in pages:
            looked += len(page)
            found += filter(None, map(_pull, page))
            if looked >= MOST or time.monotonic() > end:
                break  # rates need hundreds of pulls, not all
    except Incomplete as error:
        gaps["events"] = str(error)
    return ImagePulls(
        pulls=tuple(found),
        gaps=gaps,
        provenance=f"{len(found)} of {looked} events of reason Pulled",
    )


def _pull(event: _Event) -> Pull | None:
    if "kubelet" not in (event.source.component, event.reporting_component):
        return None
    return parse(event.message or "", event.source.host or event.reporting_instance)


def parse(message: str, node: str) -> Pull | None:
    """What a kubelet says of a pull; None for any other text, as of an image already there."""
    found = _PULLED.fullmatch(message)
    if not found:
        return None
    try:
        pull, total = (
            duration_seconds(text) if (text := found[name]) else None for name in ("pull", "total")
        )
    except ValueError:
        return None
    if total is None:  # then the one time there is includes waiting
        pull, total = None, pull
    return Pull(
        image=found["image"],
        node=node,
        seconds=pull,
        total_seconds=total,
        size_bytes=int(found["size"] or 0),
    )
