"""Who fills etcd, said in the findings that ask for it."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from k8sdiag.etcdtop import rank
from k8sdiag.facts.etcd_objects import EtcdObjects
from k8sdiag.model import Finding, Missing, Said

# What is mended by finding who fills it, or is made easier by it.
ABOUT_SPACE = {"nospace", "outgrown", "near-quota", "near-assumed-quota", "will-be-full"}
MOST = 3
MIB = 1 << 20


def named(said: Iterable[Said], objects: EtcdObjects | Missing) -> Iterator[Said]:
    """The same, with the largest resources in each message about space, if they are known."""
    rows = rank(objects.resources) if isinstance(objects, EtcdObjects) else []
    known = [row for row in rows if row.share is not None][:MOST]
    largest = ", ".join(f"{row.resource} {row.share:.0%}" for row in known)
    # How much they are together: the rest of the file is history, free pages or not counted yet.
    size = sum(row.size_bytes or 0 for row in rows)
    told = f"{size / MIB:,.0f} MiB of live objects" if size else "objects"
    for x in said:
        if known and isinstance(x, Finding) and x.code in ABOUT_SPACE:
            yield replace(x, message=f"{x.message}; the API server counts {told}: {largest}")
        else:
            yield x
