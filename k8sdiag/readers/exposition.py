"""A /metrics page, of which only the named metrics are parsed: an API server's has megabytes."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


def samples(page: bytes, *names: str, bounds: Sequence[str] = ()) -> "Iterator[Sample]":
    """The samples with these names, as they stand on the page. Raises ValueError for another text.

    Lines are picked first: parsing all of them costs many times as much. Of the buckets of
    histograms those with one of the `bounds` are taken, if any are given: le="1".
    """
    from prometheus_client.parser import text_string_to_metric_families

    either = "|".join(map(re.escape, names)).encode()
    lines = re.findall(rb"^(?:%b)[{ ].*$" % either, page, re.MULTILINE)
    if bounds:
        wanted = [f'le="{bound}"'.encode() for bound in bounds]
        lines = [x for x in lines if b'le="' not in x or any(piece in x for piece in wanted)]
    text = b"\n".join(lines).decode(errors="replace")
    for family in text_string_to_metric_families(text):
        yield from family.samples
