"""The check etcd-quota against real etcds: three generations, with TLS and without."""

import inspect
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from k8sdiag.checks._etcd_limits import EtcdQuota
from k8sdiag.checks.etcd_quota import check
from k8sdiag.facts.etcd import EtcdMembers
from k8sdiag.model import Finding, Missing, Said, Unavailable, Unseen
from k8sdiag.readers import etcd_member
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import etcd_api_server
from k8sdiag.sources.etcd_members import collect
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.bed import program
from tests.real.conftest import required
from tests.real.etcd import EtcdCluster
from tests.real.etcd_writes import fill_up, puts
from tests.real.pki import Authority

StartEtcd = Callable[..., EtcdCluster]
QUOTA = 16 << 20


@pytest.fixture
def etcdctl() -> Path:
    with required():
        return program("etcdctl")


def door(cluster: EtcdCluster, *endpoints: str) -> Etcd:
    return Etcd.open(
        ",".join(endpoints or cluster.endpoints),
        cacert=cluster.ca,
        cert=cluster.cert,
        key=cluster.key,
    )


def judged(**facts: Any) -> list[Said]:
    """What the check says of these facts alone, by the names of its parameters."""
    others = {name: Missing(reason=f"no {name}") for name in inspect.signature(check).parameters}
    return list(check(**{**others, "limits": EtcdQuota(), **facts}))


def findings(fact: EtcdMembers) -> dict[str, Finding]:
    return {f.code: f for f in judged(etcd=fact) if isinstance(f, Finding)}


def shell(etcdctl: Path, *commands: str) -> str:
    """Run commands as a person pastes them, with etcdctl on the path."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        env={**os.environ, "PATH": f"{etcdctl.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def proposals(cluster: EtcdCluster) -> list[str]:
    found = []
    for url in cluster.metrics_urls:
        with urlopen(f"{url}/metrics", timeout=5) as page:  # noqa: S310  (an URL of this bed)
            text = page.read().decode()
        found += re.findall(r"^etcd_server_proposals_(?:committed|applied)_total .*", text, re.M)
    return found


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_a_new_etcd_is_quiet_and_the_default_quota_is_found(
    start_etcd: StartEtcd, version: str, tls: bool
) -> None:
    cluster = start_etcd(version=version, tls=tls)

    fact = collect(door(cluster))

    (member,) = fact.members
    assert fact.gaps == {}
    assert (member.name, member.endpoint) == ("etcd-0", cluster.endpoints[0])
    assert member.version.startswith(f"{version}.")
    assert (member.quota_bytes, member.quota_assumed) == (2 << 30, False)
    assert member.quota_source == ("Status" if version == "3.6" else "/metrics")
    assert 0 < member.in_use_bytes <= member.db_bytes < 1 << 20
    assert member.leading
    assert member.has_leader
    assert member.alarms == ()
    assert findings(fact) == {}


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        pytest.param("--quota-backend-bytes=-1", "quota-disabled", id="switched off"),
        pytest.param("--quota-backend-bytes=9000000000", "quota-too-large", id="9 GB"),
    ],
)
@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_an_odd_quota(start_etcd: StartEtcd, version: str, argument: str, code: str) -> None:
    cluster = start_etcd(version=version, tls=False, extra_args=[argument])

    assert set(findings(collect(door(cluster)))) == {code}


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
@pytest.mark.parametrize("members", [1, 3], ids=["one member", "three members"])
def test_nospace_is_seen_and_cured_by_the_commands_of_the_report(
    start_etcd: StartEtcd, etcdctl: Path, version: str, members: int
) -> None:
    cluster = start_etcd(version=version, members=members, quota_bytes=QUOTA)
    fill_up(cluster)
    time.sleep(0.2)  # the followers hear of the alarm

    full = collect(door(cluster))
    finding = findings(full)["nospace"]
    assert finding.remedy is not None
    commands = [c for c in finding.remedy.commands if "etcdctl" in c]
    disarm = next(c for c in commands if c.endswith("alarm disarm"))

    assert full.gaps == {}
    assert len(full.members) == members
    assert all(m.quota_bytes == QUOTA for m in full.members)
    assert {a.kind for m in full.members for a in m.alarms or ()} == {"NOSPACE"}
    assert min(m.db_bytes for m in full.members) > 0.9 * QUOTA
    assert set(findings(full)) == {"nospace"}

    # All but the end of the runbook: space is free, and writes are still refused.
    shell(etcdctl, *commands[: commands.index(disarm)])
    assert set(findings(collect(door(cluster)))) == {"alarm-left-armed"}

    shell(etcdctl, *commands[commands.index(disarm) :])
    healed = collect(door(cluster))
    assert findings(healed) == {}
    assert max(m.db_bytes for m in healed.members) < 0.4 * QUOTA
    with puts(cluster) as put:
        put(b"/registry/after", b"writes work again")


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_a_run_writes_nothing(start_etcd: StartEtcd, version: str) -> None:
    cluster = start_etcd(version=version, members=3)
    before, first = proposals(cluster), collect(door(cluster))

    for _ in range(3):
        last = collect(door(cluster))

    assert len(before) == 6
    assert proposals(cluster) == before
    assert {m.revision for m in last.members} == {m.revision for m in first.members}


def test_members_that_were_not_given_are_asked_too(start_etcd: StartEtcd) -> None:
    cluster = start_etcd(members=3)

    fact = collect(door(cluster, cluster.endpoints[1]))

    assert [m.name for m in fact.members] == ["etcd-0", "etcd-1", "etcd-2"]
    assert [m.endpoint for m in fact.members] == cluster.endpoints
    assert sum(m.leading for m in fact.members) == 1
    assert fact.gaps == {}


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_ipv6(start_etcd: StartEtcd, tls: bool) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as free:
        url = f"http{'s' if tls else ''}://[::1]:{free.getsockname()[1]}"
    given = ["--listen-client-urls", url, "--advertise-client-urls", url]
    cluster = start_etcd(version="3.5", tls=tls, extra_args=given)

    fact = collect(door(cluster, url))

    assert [m.endpoint for m in fact.members] == [url]
    assert fact.members[0].quota_source == "/metrics"
    assert fact.gaps == {}


def test_two_endpoints_of_one_member_are_one_member(start_etcd: StartEtcd) -> None:
    cluster = start_etcd()
    by_name = cluster.endpoints[0].replace("127.0.0.1", "localhost")

    fact = collect(door(cluster, by_name, *cluster.endpoints))

    assert [m.endpoint for m in fact.members] == [by_name]
    assert fact.gaps == {}


def test_two_of_three_dead(start_etcd: StartEtcd) -> None:
    cluster = start_etcd(members=3)
    cluster.stop_member(1)
    cluster.stop_member(2)

    def judged() -> tuple[EtcdMembers, float]:
        start = time.monotonic()
        fact = collect(door(cluster))
        return fact, time.monotonic() - start

    deadline = time.monotonic() + 20
    fact, seconds = judged()
    while fact.members[0].has_leader and time.monotonic() < deadline:
        time.sleep(0.2)  # until its election timeout it still believes in its leader
        fact, seconds = judged()

    assert seconds < 5
    assert [m.name for m in fact.members] == ["etcd-0"]
    assert set(findings(fact)) == {"no-leader"}
    assert set(fact.gaps) == {"etcd/etcd-1", "etcd/etcd-2"}
    assert "connection refused" in fact.gaps["etcd/etcd-1"]


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_a_member_that_hangs_holds_up_nobody(start_etcd: StartEtcd, tls: bool) -> None:
    cluster = start_etcd(members=3, tls=tls)

    with frozen(cluster.members[2].pid):
        start = time.monotonic()
        fact = collect(door(cluster))
        seconds = time.monotonic() - start

    assert seconds < 5
    assert [m.name for m in fact.members] == ["etcd-0", "etcd-1"]
    assert list(fact.gaps) == ["etcd/etcd-2"]
    assert "in time" in fact.gaps["etcd/etcd-2"]


def test_a_member_that_was_added_and_never_started(start_etcd: StartEtcd, etcdctl: Path) -> None:
    cluster = start_etcd(tls=False)
    where = f"--endpoints={cluster.endpoints[0]}"
    shell(etcdctl, f"etcdctl {where} member add late --learner --peer-urls=http://127.0.0.1:1")

    fact = collect(door(cluster))

    assert len(fact.members) == 1
    assert list(fact.gaps.values()) == [
        "it was added but has not started yet: it names no client URL"
    ]


def test_a_member_in_defrag_is_not_down(
    start_etcd: StartEtcd, etcdctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_member, "STATUS_SECONDS", 0.1)
    cluster = start_etcd(tls=False)
    with puts(cluster) as put:
        for number in range(200):
            put(f"/registry/fill/{number}".encode(), bytes(1 << 20))
    defrag = [
        str(etcdctl),
        f"--endpoints={cluster.endpoints[0]}",
        "--command-timeout=60s",
        "defrag",
    ]
    busy: list[EtcdMembers] = []

    with subprocess.Popen(defrag, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            fact = collect(door(cluster))
            busy += [fact] if fact.members[0].defragmenting else []

    assert running.returncode == 0
    assert busy, "no look met the defrag"
    assert busy[0].members[0].db_bytes > 100 << 20
    assert busy[0].gaps == {
        "etcd/etcd-0": "it is being defragmented and answers no request until that is done"
    }
    assert collect(door(cluster)).gaps == {}


def test_where_etcd_has_users_metrics_tell_the_rest(start_etcd: StartEtcd, etcdctl: Path) -> None:
    cluster = start_etcd(tls=False)
    etcd = f"etcdctl --endpoints={cluster.endpoints[0]}"
    shell(etcdctl, f"{etcd} user add root:secret", f"{etcd} auth enable")

    fact = collect(door(cluster))

    (member,) = fact.members
    assert member.db_bytes > 0
    assert (member.quota_bytes, member.quota_source) == (2 << 30, "/metrics")
    assert member.alarms == ()  # from 3.6 on a metric of its own
    assert list(fact.gaps) == [f"peers of {member.endpoint}"]
    assert "root role" in fact.gaps[f"peers of {member.endpoint}"]


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "stranger", "another-ca")


@pytest.mark.parametrize("version", ["3.4", "3.5", "3.6"])
def test_each_wrong_way_in_is_one_clear_line(
    start_etcd: StartEtcd, version: str, stranger: Authority
) -> None:
    cluster = start_etcd(version=version)
    url = cluster.endpoints[0]
    other = stranger.issue("client")

    def refusal(endpoint: str, **files: Any) -> str:
        with pytest.raises(Unavailable) as error:
            collect(Etcd.open(endpoint, **files))
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(f"{endpoint}: ")

    assert f"not signed by {stranger.ca}" in refusal(
        url, cacert=stranger.ca, cert=cluster.cert, key=cluster.key
    )
    assert "not signed by any CA of this system" in refusal(url)
    assert refusal(url, cacert=cluster.ca) == (
        "asks for a client certificate: give one with --etcd-cert and --etcd-key"
    )
    assert f"refuses the client certificate {other.cert}" in refusal(
        url, cacert=cluster.ca, cert=other.cert, key=other.key
    )
    assert "write https://" in refusal(url.replace("https", "http"))


@pytest.mark.parametrize("version", ["3.4", "3.5"])
def test_an_older_etcd_without_metrics_has_an_assumed_quota_and_says_so(
    start_etcd: StartEtcd, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_member, "METRICS_BYTES", 0)
    cluster = start_etcd(version=version, tls=False, quota_bytes=QUOTA)

    fact = collect(door(cluster))

    (member,) = fact.members
    assert (member.quota_bytes, member.quota_assumed) == (2 << 30, True)
    unseen = [x.subject for x in judged(etcd=fact) if isinstance(x, Unseen)]
    assert unseen == ["quota of etcd/etcd-0"]


def test_tls_to_an_etcd_without_it(start_etcd: StartEtcd, stranger: Authority) -> None:
    url = start_etcd(tls=False).endpoints[0].replace("http", "https")

    with pytest.raises(Unavailable, match="does not speak TLS there: write http://"):
        collect(Etcd.open(url, cacert=stranger.ca))


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("127.0.0.1:1", "connection refused"),
        ("no-such-host.invalid:1", "does not resolve"),
        ("a..b:1", "does not resolve"),
    ],
)
def test_nobody_there(host: str, says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        collect(Etcd.open(host))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_black_hole_ends_in_time(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        reader = Etcd.open(f"{scheme}://127.0.0.1:{hole.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            collect(reader)

    assert time.monotonic() - start < 5


def test_an_http_port_of_its_own_keeps_metrics_away_and_costs_nothing_on_3_6(
    start_etcd: StartEtcd,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cluster = start_etcd(extra_args=["--listen-client-http-urls", f"https://127.0.0.1:{port}"])

    fact = collect(door(cluster))

    assert fact.gaps == {}
    assert fact.members[0].quota_source == "Status"


def test_the_api_server_tells_the_size_without_any_certificate_of_etcd(
    api_server: ApiServer,
) -> None:
    kubeconfig = api_server.kubeconfig("etcd-size", [ADMINS])

    with closing(Kubernetes.open(kubeconfig)) as reader:
        fact = etcd_api_server.collect(reader)

    assert list(fact.db_bytes) == ["etcd-0"]
    assert 1 << 14 < fact.db_bytes["etcd-0"] < 1 << 31
    assert fact.server.startswith("v1.")
