"""The sizes of the last days out of a real Prometheus, and what follows for a real etcd."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks.etcd_quota import check
from k8sdiag.model import Finding, Missing, Unavailable
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import etcd_members
from k8sdiag.sources.etcd_history import collect
from tests.real.etcd import EtcdCluster
from tests.real.prometheus import Prometheus as Running

MIB = 1 << 20
HOUR = 3600
NOTHING = Missing(reason="not asked", asked=False)
StartPrometheus = Callable[..., Running]


def history(labels: str, mib_now: float, mib_an_hour: float, hours: int = 80) -> dict[str, str]:
    """Samples of the last hours, every ten minutes: in use grows, the database with it."""
    now = int(time.time())
    lines: dict[str, list[str]] = {"total": [], "in_use": []}
    for at in range(now - hours * HOUR, now, 600):
        used = (mib_now - mib_an_hour * (now - at) / HOUR) * MIB
        swing = 5 * MIB * (at // 600 % 2)  # between two compactions
        lines["in_use"].append(
            f"etcd_mvcc_db_total_size_in_use_in_bytes{{{labels}}} {used + swing:.0f} {at}"
        )
        lines["total"].append(
            f"etcd_mvcc_db_total_size_in_bytes{{{labels}}} {used + 10 * MIB:.0f} {at}"
        )
    return {name: "\n".join(rows) for name, rows in lines.items()}


def page(*members: dict[str, str]) -> str:
    text = ""
    for name, family in (
        ("in_use", "etcd_mvcc_db_total_size_in_use_in_bytes"),
        ("total", "etcd_mvcc_db_total_size_in_bytes"),
    ):
        text += f"# TYPE {family} gauge\n" + "".join(m[name] + "\n" for m in members)
    return text + "# EOF\n"


def test_three_days_and_a_real_member(
    start_prometheus: StartPrometheus,
    start_etcd: Callable[..., EtcdCluster],
) -> None:
    mine = history('instance="127.0.0.1:2381",pod="etcd-a"', 900, 8)
    other = history('instance="10.9.9.9:2381",pod="etcd-b"', 900, -1)
    server = start_prometheus(history=page(mine, other))
    cluster = start_etcd(tls=False)

    fact = collect(Prometheus.open(server.url))
    members = etcd_members.collect(Etcd.open(",".join(cluster.endpoints)))
    assert len(fact.sizes["127.0.0.1"]) >= 70
    said = check(members, NOTHING, NOTHING, fact, NOTHING, EtcdQuota())
    (finding,) = [f for f in said if isinstance(f, Finding)]

    assert set(fact.sizes) == {"127.0.0.1", "etcd/a", "10.9.9.9", "etcd/b"}
    assert finding.code == "will-be-full"
    # 1,148 MiB are left of 2,048 at 192 MiB a day: six days.
    assert finding.observed == pytest.approx(192 * MIB, rel=0.05)
    assert "watched for 3.0 days" in finding.message


def test_two_clusters_with_the_same_addresses_are_nobodys(
    start_prometheus: StartPrometheus,
) -> None:
    both = [history(f'cluster="{c}",instance="10.0.0.1:2381"', 900, 8) for c in "ab"]
    server = start_prometheus(history=page(*both))

    with pytest.raises(Unavailable, match="has no etcd_mvcc_db_total_size_in_bytes"):
        collect(Prometheus.open(server.url))


def test_a_prometheus_without_etcd(start_prometheus: StartPrometheus, tmp_path: Path) -> None:
    server = start_prometheus()

    with pytest.raises(Unavailable, match="has no etcd_mvcc_db_total_size_in_bytes"):
        collect(Prometheus.open(server.url))
