"""What to type about an etcd, with the endpoints and the certificates of the one that was asked.

The order is the one that works: compacting frees pages, a defrag of each member gives them
back, and only then does a disarmed alarm stay off.
"""

import shlex
from collections.abc import Iterable, Sequence

from k8sdiag.facts.etcd import EtcdMember

# Which resources hold the most objects and bytes, the largest first.
WHO_FILLS_IT = (
    "kubectl get --raw /metrics | grep -E "
    "'^apiserver_(resource_size_estimate_bytes|resource_objects|storage_objects)' "
    "| sort -gr -k2 | head -n 30"
)
# etcdctl gives up after 5 s by itself; a defrag takes some 10 ms a MB, more on slow disks.
PATIENT = "--command-timeout=10m"


class Etcdctl:
    """etcdctl commands for these members, flags spelled out so that each can be pasted alone."""

    def __init__(self, members: Iterable[EtcdMember], flags: Sequence[str]) -> None:
        self._members = sorted(members, key=lambda m: (m.leading, m.name))
        self._flags = " ".join(map(shlex.quote, flags))
        self._all = ",".join(m.endpoint for m in self._members)

    def _do(self, command: str, endpoints: str = "") -> str:
        where = shlex.quote(f"--endpoints={endpoints or self._all}")
        return " ".join(filter(None, ("etcdctl", where, self._flags, command)))

    def compact(self) -> tuple[str, ...]:
        """History goes, and its pages become free; the file keeps its size."""
        status = self._do("endpoint status --write-out=json")
        newest = """grep -o '"revision":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1"""
        return f"rev=$({status} | {newest})", self._do(f'{PATIENT} compact --physical "$rev"')

    def defrag(self) -> tuple[str, ...]:
        """Each member gives its free pages back, the leader last: it answers nothing meanwhile."""
        return tuple(self._do(f"{PATIENT} defrag", m.endpoint) for m in self._members)

    def status(self) -> str:
        return self._do("endpoint status --write-out=table")

    def hash(self) -> str:
        """Equal where members hold the same: of the revision that all have, by every key."""
        return self._do(f"{PATIENT} endpoint hashkv --write-out=table")

    def save(self) -> str:
        """A backup into this folder; it takes one endpoint: a follower's, while there is one."""
        member = self._members[0]
        file = shlex.quote(member.name) + "-$(date +%F).db"
        return self._do(f"snapshot save {file}", member.endpoint)

    def disarm(self) -> tuple[str, ...]:
        return self._do("alarm disarm"), self._do("alarm list")
