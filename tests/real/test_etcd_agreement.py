"""Members of a real etcd that run different versions, and that hold different data."""

import shutil
from pathlib import Path
from typing import Any

from k8sdiag.checks._etcd_agreement import judge
from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks._etcd_runbook import Etcdctl
from k8sdiag.facts.etcd import EtcdMembers
from k8sdiag.model import Finding
from k8sdiag.readers.etcd import Etcd
from k8sdiag.sources import etcd_members
from tests.real import etcd
from tests.real.bed import free_ports
from tests.real.etcd import EtcdCluster
from tests.real.etcd_writes import puts

PUTS = 100
THREE: Any = {"tls": False, "members": 3}
LIMITS = EtcdHealth(spread_bytes=4 << 20)  # megabytes are enough to write for a test


def told(cluster: EtcdCluster) -> EtcdMembers:
    return etcd_members.collect(Etcd.open(",".join(cluster.endpoints)))


def judged(fact: EtcdMembers) -> list[Finding]:
    return list(judge(fact.members, Etcdctl(fact.members, ()), LIMITS))


def write(cluster: EtcdCluster, value_bytes: int) -> None:
    with puts(cluster) as put:
        for number in range(PUTS):
            put(b"/registry/a/%d" % number, bytes(value_bytes))


def test_a_cluster_half_way_through_an_upgrade(tmp_path: Path) -> None:
    with etcd.started(tmp_path / "one", tls=False, members=2) as cluster:
        same = judged(told(cluster))
    with etcd.started(tmp_path / "two", tls=False, versions=("3.5", "3.6", "3.5")) as cluster:
        (found,) = judged(told(cluster))

    assert same == []
    assert found.code == "versions-differ"
    assert found.message.startswith("the members run different versions: etcd-0 3.5.1, etcd-1 3.6.")


def test_members_whose_data_differ_although_their_logs_agree(tmp_path: Path) -> None:
    """Two lives of the same three members, equally long; in the third, one has the other life."""
    ports = [free_ports(3) for _ in range(3)]

    def life(name: str, value_bytes: int) -> int:
        """The term in which all was written."""
        data = tmp_path / name
        with etcd.started(tmp_path / f"{name}-logs", ports=ports, data=data, **THREE) as cluster:
            write(cluster, value_bytes)
            with Etcd.open(cluster.endpoints[0]).ask(cluster.endpoints[0]) as member:
                return int(member.status().header.raft_term)

    large, small = life("large", 100_000), life("small", 10)
    assert large == small, "the elections took differently long: the logs do not agree"
    shutil.rmtree(tmp_path / "large" / "etcd-2")
    (tmp_path / "small" / "etcd-2").rename(tmp_path / "large" / "etcd-2")

    with etcd.started(tmp_path / "mix", ports=ports, data=tmp_path / "large", **THREE) as cluster:
        (found,) = judged(told(cluster))

    assert (found.code, found.subject) == ("members-differ", "etcd/etcd-2")
    assert found.limit is not None
    assert found.limit > PUTS * 100_000 > 10 * (found.observed or 0)
