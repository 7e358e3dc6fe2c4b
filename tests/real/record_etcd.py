"""Record what real etcds answer, for the tests that need none.

    python -m tests.real.record_etcd [FOLDER]

A member of each generation, filled until it raised NOSPACE: its replies to Status and MemberList
as bytes, and of its /metrics the lines of etcd itself.
"""

import sys
import tempfile
from pathlib import Path

from k8sdiag.readers.etcd import Etcd
from tests.real import etcd
from tests.real.etcd_writes import fill_up

FOLDER = Path(__file__).parents[1] / "testdata" / "etcd"
QUOTA = 16 << 20


def main(folder: Path) -> None:
    for version in etcd.PROGRAMS:
        with (
            tempfile.TemporaryDirectory(prefix="k8sdiag-etcd-") as own,
            etcd.started(Path(own), version=version, tls=False, quota_bytes=QUOTA) as cluster,
        ):
            fill_up(cluster)
            into = folder / f"nospace-{version}"
            into.mkdir(parents=True, exist_ok=True)
            reader = Etcd.open(cluster.endpoints[0])
            with reader.ask(reader.endpoints[0]) as member:
                (into / "status.bin").write_bytes(member.status().SerializeToString())
                (into / "members.bin").write_bytes(member.members().SerializeToString())
                lines = member.metrics().splitlines(keepends=True)
            kept = [line for line in lines if line.startswith((b"etcd_", b"# TYPE etcd_"))]
            (into / "metrics").write_bytes(b"".join(kept))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
