"""How long image pulls took, from the kubelets' own events."""

import re

from k8sdiag.facts.pulls import ImagePulls, Pull
from k8sdiag.model import Unavailable
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import _events
from k8sdiag.sources._kubelet import duration_seconds

PERMISSIONS = (_events.LIST,)

# The forms of pkg/kubelet/images/image_manager.go: up to 1.19 without times; then with one that
# includes waiting; from 1.26 on (and patches of 1.23 to 1.25) with both; from 1.30 on with the
# size as well.
_DURATION = r"[0-9.hmsuµn]{1,32}"
_PULLED = re.compile(
    r'Successfully pulled image "(?P<image>[^"\s]{1,1024})"'
    rf"(?: in (?P<pull>{_DURATION})(?: \((?P<total>{_DURATION}) including waiting\))?)?"
    r"(?:\. Image size: (?P<size>\d{1,18}) bytes\.)?"
)


def collect(reader: Kubernetes) -> ImagePulls:
    if reader.quick:  # the server goes through all events to find these
        raise Unavailable("a quick look reads no events")
    events = _events.read(reader)
    pulled = events.by_reason[_events.PULLED]
    found = tuple(p for e in pulled if (p := parse(e.message or "", e.node)))
    return ImagePulls(
        pulls=found,
        gaps={"events": events.gap} if events.gap else {},
        provenance=f"{len(found)} of {len(pulled)} events of reason Pulled",
    )


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
