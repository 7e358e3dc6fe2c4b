"""Every way to etcd beside the plain one: passwords, JSON, Prometheus, this host's files, pods."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.request import urlopen

import pytest

from k8sdiag import doors
from k8sdiag.checks._etcd_health_limits import EtcdHealth
from k8sdiag.checks._etcd_pace import judge as judge_pace
from k8sdiag.histogram import quantile
from k8sdiag.model import ConfigError, Finding, Missing, Unavailable, Unseen, Usage
from k8sdiag.readers import etcd_local, etcd_member
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.sources import (
    etcd_api_server,
    etcd_members,
    etcd_performance,
    etcd_performance_prometheus,
    etcd_pods,
    etcd_prometheus,
)
from tests.real import prometheus
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import free_ports, program, running
from tests.real.conftest import required
from tests.real.etcd import PROGRAMS, EtcdCluster
from tests.real.etcd_writes import fill_up, puts
from tests.real.test_etcd import door, findings, judged, proposals, shell

StartEtcd = Callable[..., EtcdCluster]
VERSIONS = list(PROGRAMS)
USERS = ("user add root:secret", "user grant-role root root", "auth enable")


@pytest.fixture
def etcdctl() -> Path:
    with required():
        return program("etcdctl")


def with_users(cluster: EtcdCluster, etcdctl: Path) -> None:
    files = ""
    if cluster.ca:
        files = f"--cacert={cluster.ca} --cert={cluster.cert} --key={cluster.key}"
    where = f"etcdctl --endpoints={cluster.endpoints[0]} {files}"
    shell(etcdctl, *(f"{where} {command}" for command in USERS))


def settled(cluster: EtcdCluster) -> list[str]:
    """The proposals of all members, once the slowest follower has heard of the last."""
    seen = proposals(cluster)
    for _ in range(20):
        time.sleep(0.5)
        before, seen = seen, proposals(cluster)
        if seen == before and len({line for line in seen if "committed" in line}) == 1:
            return seen
    raise AssertionError(f"etcd does not come to rest: {seen}")


def as_root(cluster: EtcdCluster, password: str) -> Etcd:
    return Etcd.open(",".join(cluster.endpoints), user="root", password=password)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_user_sees_all_for_one_entry_in_the_raft_log_at_most(
    start_etcd: StartEtcd, etcdctl: Path, version: str
) -> None:
    cluster = start_etcd(version=version, tls=False, members=3)
    with_users(cluster, etcdctl)
    reader = as_root(cluster, "secret")
    before = settled(cluster)

    facts = [etcd_members.ask(reader).fact for _ in range(3)]

    after = proposals(cluster)
    grown = {int(b.split()[1]) - int(a.split()[1]) for a, b in zip(before, after, strict=True)}
    for fact in facts:
        assert fact.gaps == {}
        assert all(member.alarms == () for member in fact.members)
        assert fact.etcdctl_flags == ("--user=root",)
    # An etcd that answers everybody is not even logged in to.
    assert grown <= {0, 1}
    assert len({m.revision for fact in facts for m in fact.members}) == 1


def test_a_wrong_password_is_one_line_and_tried_once(start_etcd: StartEtcd, etcdctl: Path) -> None:
    cluster = start_etcd(tls=False)
    with_users(cluster, etcdctl)

    fact = etcd_members.collect(as_root(cluster, "wrong"))

    (why,) = fact.gaps.values()
    assert why == "--etcd-user root: etcd does not know this user with this password"


def test_a_password_where_etcd_has_no_users_is_not_sent(start_etcd: StartEtcd) -> None:
    cluster = start_etcd(tls=False)
    before = settled(cluster)

    fact = etcd_members.collect(as_root(cluster, "secret"))

    assert fact.gaps == {}
    assert proposals(cluster) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_names_a_user_writes_nothing(
    start_etcd: StartEtcd, etcdctl: Path, version: str
) -> None:
    cluster = start_etcd(version=version)
    with_users(cluster, etcdctl)
    assert cluster.authority is not None
    root = cluster.authority.issue("root")
    before = settled(cluster)

    fact = etcd_members.collect(
        Etcd.open(cluster.endpoints[0], cacert=cluster.ca, cert=root.cert, key=root.key)
    )

    assert fact.gaps == {}
    assert fact.members[0].alarms == ()
    assert proposals(cluster) == before


def test_a_certificate_without_any_right_is_enough_on_3_6(
    start_etcd: StartEtcd, etcdctl: Path
) -> None:
    cluster = start_etcd()
    with_users(cluster, etcdctl)

    fact = etcd_members.collect(door(cluster))  # its common name is no user

    (member,) = fact.members
    assert 0 < member.in_use_bytes <= member.db_bytes
    assert member.quota_bytes == 2 << 30
    assert member.alarms == ()
    assert fact.gaps == {}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_without_grpc_the_gateway_answers(
    start_etcd: StartEtcd, version: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> None:
        raise etcd_member._NoGRPCError("no grpc here")

    cluster = start_etcd(version=version, tls=tls, members=3, quota_bytes=16 << 20)
    direct = etcd_members.collect(door(cluster))
    monkeypatch.setattr(etcd_member, "_grpc", nothing)

    fact = etcd_members.collect(door(cluster, cluster.endpoints[0]))

    assert fact.gaps == {}
    for found, expected in zip(fact.members, direct.members, strict=True):
        for field in ("id", "cluster_id", "name", "version", "quota_bytes", "alarms", "leading"):
            assert getattr(found, field) == getattr(expected, field)


def test_without_grpc_and_gateway_the_reason_is_the_one_to_mend(
    start_etcd: StartEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> None:
        raise etcd_member._NoGRPCError("no grpc here")

    cluster = start_etcd(version="3.5", tls=False, extra_args=["--enable-grpc-gateway=false"])
    monkeypatch.setattr(etcd_member, "_grpc", nothing)

    fact = etcd_members.collect(door(cluster))

    assert set(fact.gaps.values()) == {"no grpc here"}


@pytest.mark.parametrize("version", VERSIONS)
def test_two_looks_show_what_the_disk_did_meanwhile(start_etcd: StartEtcd, version: str) -> None:
    cluster = start_etcd(version=version, tls=False)
    reader = door(cluster)
    reader.look_seconds = 1.5
    with puts(cluster) as put:
        put(b"/registry/before", b"x")
        write = Timer(0.5, lambda: [put(b"/registry/x", bytes(100)) for _ in range(50)])
        write.start()
        fact = etcd_performance.collect(reader)
        write.join()

    (member,) = fact.members
    assert fact.gaps == {}
    assert 50 <= member.fsyncs[-1][1] < 200
    assert 0 < (quantile(0.99, member.fsyncs) or 0) < 8
    assert member.commits[-1][1] >= 1
    assert member.leader_changes == 0
    assert member.snapshots == 0
    assert member.clock_ahead_seconds is not None
    least, most = member.clock_ahead_seconds
    assert least <= 0 <= most
    assert most - least < 3


def test_a_snapshot_that_somebody_took_is_evidence_of_a_backup(
    start_etcd: StartEtcd, etcdctl: Path, tmp_path: Path
) -> None:
    cluster = start_etcd(tls=False)
    shell(etcdctl, f"etcdctl --endpoints={cluster.endpoints[0]} snapshot save {tmp_path}/a.db")
    reader = door(cluster)
    reader.look_seconds = 0.1

    assert [m.snapshots for m in etcd_performance.collect(reader).members] == [1]


def test_a_clock_that_is_off_is_seen(
    start_etcd: StartEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start_etcd(tls=False)
    reader = door(cluster)
    reader.look_seconds = 0.1
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + 300)

    fact = etcd_performance.collect(reader)

    (finding,) = [x for x in judge_pace(fact.members, EtcdHealth()) if isinstance(x, Finding)]
    assert finding.code == "clock-off"
    assert "behind this machine's" in finding.message
    assert 295 < (finding.observed or 0) < 301


def test_an_election_under_our_eyes(start_etcd: StartEtcd) -> None:
    cluster = start_etcd(members=3, tls=False)
    reader = door(cluster)
    reader.look_seconds = 5.0
    leader = next(m for m in etcd_members.collect(reader).members if m.leading)
    number = cluster.endpoints.index(leader.endpoint)
    stop = Timer(1.0, cluster.stop_member, [number])
    stop.start()

    fact = etcd_performance.collect(reader)

    stop.join()
    codes = [x.code for x in judge_pace(fact.members, EtcdHealth()) if isinstance(x, Finding)]
    assert len(fact.members) == 2
    assert codes == ["leader-changes"]
    assert list(fact.gaps) == [f"speed of etcd/{leader.name}"]


def test_a_learner(start_etcd: StartEtcd, etcdctl: Path, tmp_path: Path) -> None:
    cluster = start_etcd(tls=False)
    first = cluster.members[0]
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    shell(
        etcdctl,
        f"etcdctl --endpoints={first.endpoint} member add late --learner --peer-urls={peer}",
    )
    with urlopen(f"{first.metrics_url}/metrics", timeout=5):  # noqa: S310
        peers = etcd_members.collect(door(cluster)).gaps
    listed = shell(etcdctl, f"etcdctl --endpoints={first.endpoint} member list")
    own = re.search(r"started, etcd-0, (\S+),", listed)
    assert own is not None
    assert list(peers.values()) == ["it was added but has not started yet: it names no client URL"]
    command: list[str | Path] = [program("etcd"), "--name=late", f"--data-dir={tmp_path}/late"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    command += [
        "--initial-cluster-state=existing",
        f"--initial-cluster=etcd-0={own[1]},late={peer}",
    ]

    with running("late", command, tmp_path) as late:

        def joined() -> bool:
            return len(etcd_members.collect(door(cluster)).members) == 2

        late.await_ready(joined, 30)
        fact = etcd_members.collect(door(cluster))

    assert fact.gaps == {}
    assert {m.name: m.learner for m in fact.members} == {"etcd-0": False, "late": True}
    assert findings(fact) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_prometheus_tells_of_every_member(
    start_prometheus: Callable[..., prometheus.Prometheus], start_etcd: StartEtcd, version: str
) -> None:
    cluster = start_etcd(version=version, tls=False, members=3, quota_bytes=16 << 20)
    fill_up(cluster)
    settled(cluster)
    targets = [url.removeprefix("http://") for url in cluster.metrics_urls]
    reader = Prometheus.open(start_prometheus(scraping(targets)).url)
    direct = etcd_members.collect(door(cluster))
    fact = eventually(lambda: etcd_prometheus.collect(reader), members=3)

    sizes = {m.id: m.db_bytes for m in direct.members}
    assert {m.id: m.db_bytes for m in fact.members} == pytest.approx(sizes, rel=0.02)
    assert {(m.quota_bytes, m.quota_source) for m in fact.members} == {(16 << 20, "/metrics")}
    assert sum(m.leading for m in fact.members) == 1
    codes = set(findings(fact))
    if version == "3.6":
        assert fact.gaps == {}
        assert codes == {"nospace"}
    else:  # no metric tells of alarms there, and that is said
        assert len(fact.gaps) == 3
        assert codes == {"outgrown"}

    pace = eventually(lambda: etcd_performance_prometheus.collect(reader), members=3)
    asked = "histogram_quantile(0.99, increase(etcd_disk_wal_fsync_duration_seconds_bucket[300s]))"
    by_prometheus = {labels["instance"]: value for labels, value in reader.instant(asked)}
    ours = {m.endpoint: quantile(0.99, m.fsyncs) for m in pace.members if m.fsyncs[-1][1]}
    for instance, p99 in ours.items():
        assert p99 == pytest.approx(by_prometheus[instance], rel=0.2)


def test_our_quantile_is_that_of_prometheus(
    start_prometheus: Callable[..., prometheus.Prometheus], start_etcd: StartEtcd
) -> None:
    cluster = start_etcd(tls=False)
    with puts(cluster) as put:
        for _ in range(200):
            put(b"/registry/x", bytes(100))
    name = "etcd_disk_wal_fsync_duration_seconds_bucket"
    target = cluster.metrics_urls[0].removeprefix("http://")
    reader = Prometheus.open(start_prometheus(scraping([target])).url)

    deadline = time.monotonic() + 20
    while not (found := reader.instant(name)):
        assert time.monotonic() < deadline, "Prometheus scraped nothing"
        time.sleep(0.2)
    buckets = [(float(labels["le"]), value) for labels, value in found]

    for share in (0.0, 0.5, 0.9, 0.99, 1.0):
        ((_, expected),) = reader.instant(f"histogram_quantile({share}, {name})")
        assert quantile(share, buckets) == pytest.approx(expected)


def scraping(targets: list[str]) -> str:
    return (
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: etcd, static_configs: [{{targets: {targets}}}]}}]\n"
    )


def eventually(collect: Callable[[], Any], *, members: int) -> Any:
    """The fact once Prometheus has scraped every member twice."""
    deadline = time.monotonic() + 30
    while True:
        try:
            fact = collect()
            if len(fact.members) == members:
                return fact
        except Unavailable:
            pass
        assert time.monotonic() < deadline, "Prometheus did not scrape all members"
        time.sleep(0.5)


def lay_out(root: Path, place: etcd_local.Place, cluster: EtcdCluster) -> None:
    """The cluster's files where a distribution keeps its own."""
    for name, file in (
        (place.cacert, cluster.ca),
        (place.cert, cluster.cert),
        (place.key, cluster.key),
    ):
        assert file is not None
        path = root / place.folder.lstrip("/") / name.replace("*", "node-y")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes())


@pytest.mark.parametrize("place", etcd_local.PLACES, ids=lambda p: p.distribution)
def test_the_certificates_of_this_host_are_found(
    start_etcd: StartEtcd,
    tmp_path: Path,
    place: etcd_local.Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = start_etcd()
    monkeypatch.setattr(etcd_local, "ENDPOINT", cluster.endpoints[0])
    lay_out(tmp_path, place, cluster)

    fact = etcd_members.collect(etcd_local.open_local(Host(rootfs=tmp_path)))

    assert [m.name for m in fact.members] == ["etcd-0"]
    assert fact.gaps == {}
    assert all(flag.partition("=")[2].startswith(str(tmp_path)) for flag in fact.etcdctl_flags)


def test_a_host_is_held_to_be_a_node_only_by_its_machine_id(
    api_server: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("control-plane-7\n")
    (tmp_path / "etc/machine-id").write_text("ab" * 16 + "\n")
    host = Host(rootfs=tmp_path)
    node = {"metadata": {"name": "control-plane-7"}, "status": {"nodeInfo": node_info("cd" * 16)}}

    with closing(Kubernetes.open(api_server.kubeconfig("ours", [ADMINS]))) as reader:
        unknown = etcd_local.belongs(host, reader)
        created = api_server.admin.create("/api/v1/nodes", node)
        try:
            another = etcd_local.belongs(host, reader)
            created["status"]["nodeInfo"]["machineID"] = "ab" * 16
            api_server.admin.put_status("/api/v1/nodes/control-plane-7", created)
            ours = etcd_local.belongs(host, reader)
        finally:
            api_server.admin.delete("/api/v1/nodes/control-plane-7")

    assert (unknown, another, ours) == (False, False, True)


def node_info(machine_id: str) -> dict[str, str]:
    names = "systemUUID bootID kernelVersion osImage containerRuntimeVersion kubeletVersion"
    names += " kubeProxyVersion operatingSystem architecture"
    return {**dict.fromkeys(names.split(), ""), "machineID": machine_id}


@contextmanager
def etcd_pod(api: ApiServer, *arguments: str) -> Iterator[None]:
    """The mirror of a static pod, as kubeadm names and labels it."""
    container = {"name": "etcd", "image": "etcd:3.6.4-0", "command": ["etcd", *arguments]}
    pod = {
        "metadata": {"name": "etcd-cp1", "labels": {"component": "etcd", "tier": "control-plane"}},
        "spec": {"nodeName": "cp1", "containers": [container], "hostNetwork": True},
    }
    path = "/api/v1/namespaces/kube-system/pods"
    api.admin.create(path, pod)
    try:
        yield
    finally:
        api.admin.delete(f"{path}/etcd-cp1?gracePeriodSeconds=0")


@pytest.mark.parametrize(
    ("arguments", "limit", "source"),
    [
        (["--quota-backend-bytes=4294967296"], 4 << 30, "(--quota-backend-bytes)"),
        ([], 2 << 30, "(not set, so etcd's default of 2 GiB)"),
        (["--config-file=/etc/etcd.yaml"], 2 << 30, "quota assumed: etcd's default of 2 GiB"),
    ],
    ids=["by its flag", "by default", "nobody tells"],
)
def test_with_an_api_server_alone_size_and_quota_are_judged_and_the_source_is_named(
    api_server: ApiServer, arguments: list[str], limit: int, source: str
) -> None:
    unasked = Missing(reason="etcd was not asked")
    with closing(Kubernetes.open(api_server.kubeconfig("alone", [ADMINS]))) as reader:
        with etcd_pod(api_server, *arguments):
            pods = etcd_pods.collect(reader)
        seen = etcd_api_server.collect(reader)

    spoken = judged(etcd=unasked, seen=seen, pods=pods)

    (usage,) = [x for x in spoken if isinstance(x, Usage)]
    assert seen.provider == ""
    assert 1 << 14 < usage.used < 1 << 31
    assert usage.limit == limit
    assert source in usage.source
    assert [x.reason for x in spoken if isinstance(x, Unseen)] == ["etcd was not asked"]


def test_a_password_is_asked_of_nobody_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(doors.PASSWORD, raising=False)

    with pytest.raises(ConfigError, match="K8SDIAG_ETCD_PASSWORD"):
        doors._password("root")
