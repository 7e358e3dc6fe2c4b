"""Which resolv.conf a trace is about, with an API server that answers as told."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.commands.dnsconf import Conf, of_file, of_host, of_pod
from k8sdiag.model import ConfigError, Permission, Unavailable
from k8sdiag.readers.kubernetes import NotFound

FORBIDDEN = Unavailable('the user may not get "nodes": grant "get"')
DNS = {"spec": {"clusterIP": "10.96.0.10"}}
NODE = {"status": {"nodeInfo": {"kubeletVersion": "v1.36.3", "operatingSystem": "linux"}}}
CLUSTER = "search shop.svc.cluster.local svc.cluster.local cluster.local"
Reply = Mapping[str, Any] | Unavailable


def pod(**spec: object) -> dict[str, Any]:
    spec = {"nodeName": "node-1", **spec}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


class Door:
    quick = False

    def __init__(self, replies: Mapping[str, Reply]) -> None:
        self._replies = replies

    def get(self, path: str, needs: Permission, **_: object) -> bytes:
        assert needs.verb in ("get", "list")
        reply = self._replies.get(path.removeprefix("/api/v1/"), NotFound(f"{path} not found"))
        if isinstance(reply, Unavailable):
            raise reply
        return json.dumps(reply).encode()

    def pages(self, path: str, *_: object, **__: object) -> Iterator[list[object]]:
        assert path == "/api/v1/events"
        return iter([])  # nobody cut a search list


def conf(*, node_file: Path | None = None, name: str = "web", **replies: Reply) -> Conf:
    paths = {
        "pod": "namespaces/shop/pods/web",
        "node": "nodes/node-1",
        "dns": "namespaces/kube-system/services/kube-dns",
    }
    told = {"dns": DNS, "node": NODE, "pod": pod(), **replies}
    door = Door({paths[key]: reply for key, reply in told.items()})
    return of_pod(door, "shop", name, node_file)  # type: ignore[arg-type]


@pytest.fixture
def node_file(tmp_path: Path) -> Path:
    path = tmp_path / "node.conf"
    path.write_text("nameserver 192.0.2.53\nsearch corp.example\noptions rotate\n")
    return path


def test_a_pod_asks_the_cluster_s_dns() -> None:
    found = conf()

    assert found.text == f"nameserver 10.96.0.10\n{CLUSTER}\noptions ndots:5\n"
    assert found.resolvers == ("glibc", "musl", "go")
    assert not found.here
    assert any("node's search domains are not known" in note for note in found.notes)


def test_the_node_s_domains_are_added(node_file: Path) -> None:
    found = conf(node_file=node_file)

    assert f"{CLUSTER} corp.example\n" in found.text
    assert not any("not known" in note for note in found.notes)


def test_an_ordinary_pod_of_a_namespace_needs_no_pod() -> None:
    found = conf(name="", pod=FORBIDDEN, node=FORBIDDEN)

    assert CLUSTER in found.text
    assert found.source == "an ordinary pod in namespace shop, by the kubelet's rules"


def test_a_pod_with_its_node_s_file(node_file: Path) -> None:
    found = conf(pod=pod(dnsPolicy="Default"), node_file=node_file)

    assert found.text == "nameserver 192.0.2.53\nsearch corp.example\noptions rotate\n"


def test_a_pod_with_a_file_of_its_own() -> None:
    own = {"nameservers": ["192.0.2.1"], "searches": ["a.example"]}

    assert conf(pod=pod(dnsPolicy="None", dnsConfig=own)).text == (
        "nameserver 192.0.2.1\nsearch a.example\n"
    )


def test_an_old_kubelet_cuts_after_six_domains() -> None:
    old = {"status": {"nodeInfo": {"kubeletVersion": "v1.25.9"}}}
    more = {"searches": ["a", "b", "c", "d"]}

    assert conf(pod=pod(dnsConfig=more), node=old).text.splitlines()[1] == f"{CLUSTER} a b c"


def test_what_may_not_be_read_is_said() -> None:
    found = conf(node=FORBIDDEN, dns=NotFound("services"))

    assert any('grant "get"' in note for note in found.notes)
    assert "the address of the cluster's DNS is not known" in found.unknown_servers


@pytest.mark.parametrize(
    ("replies", "error", "says"),
    [
        ({"pod": NotFound("pods")}, ConfigError, "there is no pod shop/web"),
        ({"pod": FORBIDDEN}, Unavailable, "grant"),
        ({"pod": pod(dnsPolicy="Default")}, Unavailable, "its node's own file, which is not known"),
        ({"pod": pod(hostNetwork=True)}, Unavailable, "own with --node-resolv-conf"),
        (
            {"node": {"status": {"nodeInfo": {"operatingSystem": "windows"}}}},
            ConfigError,
            "runs on Windows",
        ),
    ],
)
def test_what_can_not_be_traced(replies: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        conf(**replies)


def test_a_pod_that_is_not_scheduled_has_no_node() -> None:
    assert any("not scheduled" in note for note in conf(pod=pod(nodeName="")).notes)


def test_bytes_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"search \xff\n")

    assert of_file(path).text == "search \udcff\n"
    with pytest.raises(ConfigError, match="name another file"):
        of_file(tmp_path)


def test_this_host_s_libc_and_its_environment_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "ndots:3")
    monkeypatch.delenv("LOCALDOMAIN", raising=False)

    found = of_host()

    assert found.here
    assert len(found.resolvers) == 1
    assert found.env == {"RES_OPTIONS": "ndots:3"}
    assert found.notes == ("RES_OPTIONS of this shell counts, for glibc",)
