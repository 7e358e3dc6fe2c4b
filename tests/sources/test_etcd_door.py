"""What the user gives: endpoints and files. Nothing is asked."""

from pathlib import Path

import pytest

from k8sdiag.model import ConfigError
from k8sdiag.readers.etcd import Etcd
from tests.real.pki import Authority, Pair


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [
        ("https://a:2379,https://[::1]:2379", ("https://a:2379", "https://[::1]:2379")),
        ("a:2379", ("http://a:2379",)),
        (" http://a:1/ , http://a:1", ("http://a:1",)),
        ("[fd00::1]:1,10.0.0.1", ("http://[fd00::1]:1", "http://10.0.0.1:2379")),
    ],
)
def test_endpoints_as_etcdctl_takes_them(given: str, endpoints: tuple[str, ...]) -> None:
    assert Etcd.open(given).endpoints == endpoints


@pytest.mark.parametrize(
    "given", ["", " , ", "unix:///run/etcd", "https://", "a:b:c", "https://a:99999", "http://a/v3"]
)
def test_an_endpoint_that_is_none(given: str) -> None:
    with pytest.raises(ConfigError, match="write https://HOST:2379"):
        Etcd.open(given)


def test_a_password_in_an_endpoint_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as error:
        Etcd.open("https://root:hunter2@a:2379")

    assert "hunter2" not in str(error.value)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def client(authority: Authority) -> Pair:
    return authority.issue("client")


def test_with_certificates_a_bare_endpoint_is_https(authority: Authority, client: Pair) -> None:
    door = Etcd.open("a:2379", cacert=authority.ca, cert=client.cert, key=client.key)

    assert door.endpoints == ("https://a:2379",)
    assert door.flags == (
        f"--cacert={authority.ca}",
        f"--cert={client.cert}",
        f"--key={client.key}",
    )


def test_files_that_can_not_be_used(authority: Authority, client: Pair, tmp_path: Path) -> None:
    other = authority.issue("other")
    absent = tmp_path / "absent"

    with pytest.raises(ConfigError, match=f"{absent}: No such file"):
        Etcd.open("a:1", cacert=absent)
    with pytest.raises(ConfigError, match="belong together"):
        Etcd.open("a:1", cert=client.cert)
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        Etcd.open("a:1", cert=client.cert, key=other.key)
    with pytest.raises(ConfigError, match="not a CA"):
        Etcd.open("a:1", cacert=client.key)
