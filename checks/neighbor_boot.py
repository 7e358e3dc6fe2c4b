"""The neighbor table's thresholds will be others after the next boot.

A limit that was raised by hand holds until the node restarts. Then it is the kernel's default
again, and the table overflows at the size that was mended long ago.
"""

from collections.abc import Iterator

from k8sdiag import neighbors
from k8sdiag.facts.neighbor import (
    DEFAULT_GC_THRESH,
    BootThresholds,
    NeighborTable,
    NeighborTables,
)
from k8sdiag.model import Finding, Severity, Unseen


def check(tables: NeighborTables, boot: BootThresholds) -> Iterator[Finding | Unseen]:
    for table in tables.tables:
        yield from _of_table(f"node/{tables.host}", table, boot)


def _of_table(
    subject: str, table: NeighborTable, boot: BootThresholds
) -> Iterator[Finding | Unseen]:
    now = (table.gc_thresh1, table.gc_thresh2, table.gc_thresh3)
    names = [f"net.{table.family}.neigh.default.gc_thresh{n}" for n in (1, 2, 3)]
    third = now[2]
    if third is None:
        yield Unseen(subject=f"{subject} {names[2]}", reason="can't be read from here")
        return
    files = {n: (v, boot.values[n]) for n, v in zip(names, now, strict=True) if n in boot.values}
    differ = {n: (v, b) for n, (v, b) in files.items() if v is not None and v != b.value}
    keep = {n: v for n, v in zip(names[1:], now[1:], strict=True) if v is not None}
    if differ:
        told = "; ".join(f"{n} is {v:,}, {b.file} sets {b.value:,}" for n, (v, b) in differ.items())
        yield Finding(
            code="differs",
            severity=Severity.WARNING,
            subject=subject,
            message=f"the next boot will change {told}",
            remedy=neighbors.setting(
                {n: max(v, b.value) for n, (v, b) in differ.items() if v is not None},
                "keep the larger",
            ),
        )
    elif names[2] not in files and third > DEFAULT_GC_THRESH[2] and not (boot.others or boot.gaps):
        yield Finding(
            code="not-kept",
            severity=Severity.WARNING,
            subject=subject,
            message=f"{names[2]} is {third:,}, but no file in sysctl.d sets it: unless something "
            f"else does, the next boot brings back {DEFAULT_GC_THRESH[2]:,}",
            remedy=neighbors.setting(keep, "keep what holds now"),
        )
