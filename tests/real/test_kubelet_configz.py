"""What we make of a kubelet's settings is what the kubelet itself says of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import kubelet_configz, kubelet_host, nodes
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.kubelet import Kubelet
from tests.real.pki import Authority

FIELDS = (
    "serialize_image_pulls",
    "max_parallel_image_pulls",
    "registry_pull_qps",
    "registry_burst",
    "node_status_max_images",
    "image_gc_high_threshold_percent",
)


Door = Callable[..., Kubernetes]


@pytest.fixture
def door(api_server: ApiServer) -> Iterator[Door]:
    """door(user="admin", groups=(ADMINS,)): the API server as this user sees it."""
    with ExitStack() as stack:

        def opened(user: str = "admin", groups: tuple[str, ...] = (ADMINS,)) -> Kubernetes:
            kubernetes = Kubernetes.open(api_server.kubeconfig(user, groups))
            stack.callback(kubernetes._api.close)
            kubernetes.configz = "proxy"
            return kubernetes

        yield opened


def with_process(folder: Path, pid: int) -> Host:
    """This machine with one process beside init: others may run kubelets here as well."""
    proc = folder / "proc"
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "sys/kernel/hostname").write_text("bed")
    for name in ("stat", "1", str(pid)):
        (proc / name).symlink_to(f"/proc/{name}")
    return Host(procfs=proc, rootfs=Path("/"))


def test_flags_drop_ins_and_file_merge_as_the_kubelet_merges_them(
    door: Door, start_kubelet: Callable[..., Kubelet], tmp_path: Path
) -> None:
    dropins = tmp_path / "kubelet.conf.d"
    (dropins / "20-more").mkdir(parents=True)
    head = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    files: dict[str, dict[str, object]] = {
        "10-first.conf": {"maxParallelImagePulls": 4, "registryBurst": 30, "registryPullQPS": 9},
        "20-more/a.conf": {"maxParallelImagePulls": 6, "serializeImagePulls": None},
        "30-last.conf": {"registryBurst": None},
        "99-ignored.yaml": {"maxParallelImagePulls": 2},
    }
    for name, values in files.items():
        (dropins / name).write_text(json.dumps(head | values))

    kubelet = start_kubelet(
        {"registryBurst": 25, "nodeStatusMaxImages": -1},
        extra_args=[
            f"--config-dir={dropins}",
            *("--registry_qps", "7"),
            "--image-gc-high-threshold=90",
        ],
    )

    asked = kubelet_configz.collect(door())
    (told,) = (k.settings for k in asked.kubelets if k.node == kubelet.node)
    found = kubelet_host.collect(with_process(tmp_path, kubelet.pid))
    assert found.running
    assert found.node == kubelet.node
    assert found.settings is not None
    assert {f: getattr(found.settings, f) for f in FIELDS} == {f: getattr(told, f) for f in FIELDS}
    assert (told.slots, told.registry_pull_qps, told.registry_burst) == (6, 7, 10)
    assert {f: found.settings.sources[f] for f in FIELDS} == {
        "serialize_image_pulls": "default",
        "max_parallel_image_pulls": f"{dropins}/20-more/a.conf",
        "registry_pull_qps": "--registry-qps",
        "registry_burst": "default",
        "node_status_max_images": "/var/lib/kubelet/config.yaml",
        "image_gc_high_threshold_percent": "--image-gc-high-threshold",
    }
    assert told.image_gc_high_threshold_percent == 90
    assert found.gaps == {}


def test_a_kubelet_of_defaults_pulls_one_image_at_a_time(
    door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    kubelet = start_kubelet()

    (found,) = kubelet_configz.collect(door()).kubelets

    assert (found.node, found.settings.slots) == (kubelet.node, 1)
    assert found.version == "v1.36.3"


def test_a_kubelet_without_debugging_handlers_is_a_gap(
    door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    start_kubelet({"enableDebuggingHandlers": False})

    with pytest.raises(Unavailable, match="enableDebuggingHandlers is false"):
        kubelet_configz.collect(door())


@contextmanager
def granted(api_server: ApiServer, *rules: tuple[str, str]) -> Iterator[None]:
    """The user reader may do these: (resource, verb)."""
    subject = {"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "nodes", "apiGroup": "rbac.authorization.k8s.io"}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    allowed = [{"apiGroups": [""], "resources": [r], "verbs": [v]} for r, v in rules]
    objects: dict[str, dict[str, object]] = {
        f"{rbac}/clusterroles": {"rules": allowed},
        f"{rbac}/clusterrolebindings": {"subjects": [subject], "roleRef": role},
    }
    try:
        for path, body in objects.items():
            api_server.admin.create(path, {"metadata": {"name": "nodes"}, **body})
        yield
    finally:
        for path in objects:
            api_server.admin.raw("DELETE", f"{path}/nodes")


def test_who_may_not_is_told_what_to_grant(
    api_server: ApiServer, door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    start_kubelet()
    refused = pytest.raises(Unavailable, match='may not get "nodes/proxy": grant "get"')
    with granted(api_server, ("nodes", "list")), refused:
        kubelet_configz.collect(door("reader", ()))


def test_the_kubelet_itself_asks_for_no_more_than_nodes_configz(
    api_server: ApiServer, door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    kubelet = start_kubelet({"serializeImagePulls": False, "maxParallelImagePulls": 7})
    with granted(api_server, ("nodes", "list"), ("nodes/configz", "get")):
        reader = door("reader", ())
        reader.configz = "direct"
        before = reader.cost.api_requests

        (found,) = kubelet_configz.collect(reader).kubelets

        assert (found.node, found.settings.slots) == (kubelet.node, 7)
        assert reader.cost.api_requests - before == 2  # the nodes, and the kubelet
        with pytest.raises(Unavailable, match='may not get "nodes/proxy"'):
            kubelet_configz.collect(door("reader", ()))


def test_a_kubelet_refuses_who_may_not(
    api_server: ApiServer, door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    start_kubelet()
    with granted(api_server, ("nodes", "list")):
        reader = door("reader", ())
        reader.configz = "direct"

        with pytest.raises(Unavailable, match='may not get "nodes/configz": grant "get"'):
            kubelet_configz.collect(reader)


def test_a_certificate_of_another_authority_is_taken_only_if_one_says_so(
    door: Door, start_kubelet: Callable[..., Kubelet], tmp_path: Path
) -> None:
    start_kubelet()
    other = Authority(tmp_path / "other", "another-ca")
    reader = door()
    reader.configz = "direct"
    reader._login.configuration.ssl_ca_cert = str(other.ca)  # the connection to the API stands

    with pytest.raises(Unavailable, match="--kubelet-insecure-tls takes any"):
        kubelet_configz.collect(reader)
    reader.kubelet_tls = False
    assert len(kubelet_configz.collect(reader).kubelets) == 1


def test_the_nodes_are_listed_once_for_all_who_begin_with_them(
    door: Door, start_kubelet: Callable[..., Kubelet]
) -> None:
    start_kubelet()
    reader = door()

    kubelet_configz.collect(reader)
    before = reader.cost.api_requests
    listed = nodes.collect(reader)

    assert len(listed.nodes) == 1
    assert reader.cost.api_requests == before
