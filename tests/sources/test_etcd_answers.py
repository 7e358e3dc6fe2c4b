"""What members answered, read from recordings of real ones."""

from pathlib import Path

import pytest

from k8sdiag.facts.etcd import NO_QUOTA, EtcdAlarm
from k8sdiag.model import Unavailable
from k8sdiag.readers.etcd_messages import MemberListResponse, StatusResponse
from k8sdiag.sources import etcd_api_server
from k8sdiag.sources._etcd_answer import Page, member, quota, read_page

RECORDED = Path(__file__).parents[1] / "testdata" / "etcd"
URL = "https://10.0.0.1:2379"
VERSIONS = ["3.4", "3.5", "3.6"]
DEFAULT = 2 << 30


def recorded(version: str) -> tuple[StatusResponse, Page]:
    folder = RECORDED / f"nospace-{version}"
    status = StatusResponse.FromString((folder / "status.bin").read_bytes())
    return status, read_page((folder / "metrics").read_bytes())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_member(version: str) -> None:
    status, page = recorded(version)

    found = member(URL, "etcd-0", status, page)

    assert found.id == page.server_id
    assert found.version.startswith(version)
    assert found.quota_bytes == 16 << 20
    assert found.quota_source == ("Status" if version == "3.6" else "/metrics")
    assert found.alarms == (EtcdAlarm(kind="NOSPACE", member_id=found.id),)
    assert found.db_bytes > found.quota_bytes
    assert found.leading
    assert found.has_leader
    assert found.revision > 900
    assert found.raft_index >= found.raft_applied_index > 900


@pytest.mark.parametrize("version", VERSIONS)
def test_metrics_alone_tell_the_same_and_from_3_6_on_the_alarms(version: str) -> None:
    status, page = recorded(version)

    whole, alone = member(URL, "a", status, page), member(URL, "a", None, page)

    for field in ("id", "version", "db_bytes", "in_use_bytes", "quota_bytes", "leading"):
        assert getattr(alone, field) == getattr(whole, field)
    assert alone.alarms == (whole.alarms if version == "3.6" else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_member_list(version: str) -> None:
    data = (RECORDED / f"nospace-{version}" / "members.bin").read_bytes()

    (only,) = MemberListResponse.FromString(data).members

    assert only.name == "etcd-0"
    assert only.clientURLs[0].startswith("http://127.0.0.1:")
    assert not only.isLearner


def test_a_field_that_a_newer_etcd_adds_is_skipped() -> None:
    data = (RECORDED / "nospace-3.6" / "status.bin").read_bytes()

    assert StatusResponse.FromString(data + b"\xf2\x07\x03new").version == "3.6.16"


def page(quota_bytes: float | None) -> Page:
    values = {} if quota_bytes is None else {"etcd_server_quota_backend_bytes": quota_bytes}
    return Page(values=values)


@pytest.mark.parametrize(
    ("status", "metrics", "expected"),
    [
        pytest.param({}, page(5e9), (5_000_000_000, "/metrics", False), id="3.5 by its metric"),
        pytest.param({}, page(-1), (NO_QUOTA, "/metrics", False), id="3.5, switched off"),
        pytest.param(
            {}, None, (DEFAULT, "neither Status nor /metrics tells it", True), id="3.5, no metrics"
        ),
        pytest.param(
            {"storageVersion": "3.6.0", "dbSizeQuota": 9},
            page(7),
            (9, "Status", False),
            id="3.6 by Status",
        ),
        pytest.param(
            {"storageVersion": "3.6.0"},
            page(DEFAULT),
            (DEFAULT, "/metrics", False),
            id="3.6.0 to 3.6.5, unset",
        ),
        pytest.param(
            {"storageVersion": "3.6.0"},
            None,
            (DEFAULT, "Status: unset, so etcd's default of 2 GiB", False),
            id="3.6.0 to 3.6.5, unset, no metrics",
        ),
        pytest.param(
            {"storageVersion": "3.6.0", "dbSizeQuota": -5},
            None,
            (NO_QUOTA, "Status", False),
            id="3.6, switched off",
        ),
        pytest.param(None, page(5), (5, "/metrics", False), id="Status is refused"),
    ],
)
def test_the_quota(
    status: dict[str, object] | None, metrics: Page | None, expected: tuple[int, str, bool]
) -> None:
    told = None if status is None else StatusResponse(**status)

    assert quota(told, metrics) == expected


@pytest.mark.parametrize(
    ("error", "alarms"),
    [
        ("etcdserver: no leader", ()),
        ("memberID:10 alarm:NOSPACE ", (EtcdAlarm(kind="NOSPACE", member_id="a"),)),
        ("memberID:10  alarm:CORRUPT", (EtcdAlarm(kind="CORRUPT", member_id="a"),)),
        ("alarm:NOSPACE", (EtcdAlarm(kind="NOSPACE", member_id="0"),)),
    ],
)
def test_alarms_among_the_errors(error: str, alarms: tuple[EtcdAlarm, ...]) -> None:
    assert member(URL, "a", StatusResponse(errors=[error]), None).alarms == alarms


def test_without_a_leader_nobody_leads() -> None:
    found = member(URL, "a", StatusResponse(header={"member_id": 7}), None)

    assert (found.has_leader, found.leading) == (False, False)


def test_sizes_before_3_4_have_no_free_pages() -> None:
    found = member(URL, "a", StatusResponse(version="3.3.27", dbSize=10), None)

    assert (found.db_bytes, found.in_use_bytes) == (10, 10)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"<html>hello</html>", id="another server's page"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"etcd_server_id{server_id=\n", id="broken"),
    ],
)
def test_a_page_that_is_not_of_etcd(text: bytes) -> None:
    with pytest.raises(Unavailable, match="/metrics: "):
        read_page(text)


@pytest.mark.parametrize(
    ("version", "host", "expected"),
    [
        ("v1.36.3", "10.0.0.1", ""),
        ("v1.33.1-eks-1de2ab1", "10.0.0.1", "EKS"),
        ("v1.33.1", "ABC.gr7.eu-west-1.eks.amazonaws.com", "EKS"),
        ("v1.33.2-gke.1240000", "10.0.0.1", "GKE"),
        ("v1.33.2", "prod-dns-1a2b.hcp.westeurope.azmk8s.io", "AKS"),
    ],
)
def test_the_provider(version: str, host: str, expected: str) -> None:
    assert etcd_api_server.provider(version, host) == expected


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        pytest.param(
            b'apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 2.3552e+07\n'
            b'apiserver_storage_size_bytes{storage_cluster_id="etcd-1"} 5\n',
            {"etcd-0": 23_552_000, "etcd-1": 5},
            id="1.30 on, events apart",
        ),
        pytest.param(
            b'apiserver_storage_size_bytes{cluster="etcd-0"} 7\n', {"etcd-0": 7}, id="1.28"
        ),
        pytest.param(
            b'apiserver_storage_db_total_size_in_bytes{endpoint="https://a:2379"} 7\n',
            {"https://a:2379": 7},
            id="1.26",
        ),
        pytest.param(
            b'etcd_db_total_size_in_bytes{endpoint="https://a:2379"} 7\n',
            {"https://a:2379": 7},
            id="1.25",
        ),
        pytest.param(
            b'apiserver_storage_db_total_size_in_bytes{endpoint="a"} -1\n', {}, id="not reached"
        ),
        pytest.param(b"apiserver_storage_objects 7\n", {}, id="no etcd behind it"),
    ],
)
def test_the_size_on_the_api_servers_page(text: bytes, sizes: dict[str, int]) -> None:
    assert etcd_api_server.read(text) == sizes
