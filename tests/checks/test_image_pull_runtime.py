import re

import pytest

from k8sdiag.checks.image_pull_runtime import ImagePullRuntime, check
from k8sdiag.facts.kubelet import HostKubelet, KubeletSettings
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.runtime import HostRuntime, Runtime, Unused
from k8sdiag.model import Finding, Metric, Missing, Said, Unseen

ALONE = Missing(reason="this command looks at this host alone", asked=False)
CONTAINERD = Runtime(
    name="containerd",
    version="2.3.7",
    max_concurrent_downloads=3,
    downloads_per="node",
    progress_timeout_seconds=300.0,
    local_pulls=False,
    snapshotter="overlayfs",
    sources={"progress_timeout_seconds": "default", "max_concurrent_downloads": "default"},
)


def containerd(**changes: object) -> Runtime:
    fields = {f: getattr(CONTAINERD, f) for f in CONTAINERD.__struct_fields__}
    return Runtime(**{**fields, **changes})


def kubelet(pulls: int | None = None, *, serial: bool = True, node: bool = True) -> HostKubelet:
    settings = KubeletSettings(serialize_image_pulls=serial, max_parallel_image_pulls=pulls)
    return HostKubelet(node="a", running=node, settings=settings if node else None)


def judge(
    runtime: Runtime | None = None,
    of: HostKubelet | None = None,
    nodes: Nodes | Missing = ALONE,
    limits: ImagePullRuntime | None = None,
) -> list[Said]:
    host = HostRuntime(node="a", runtime=runtime)
    return list(check(host, of or kubelet(), nodes, limits or ImagePullRuntime()))


def cluster(*runtimes: str) -> Nodes:
    return Nodes(
        nodes=tuple(Node(name=f"n{i}", pool="p", runtime=r) for i, r in enumerate(runtimes))
    )


@pytest.mark.parametrize(
    ("runtime", "of"),
    [
        pytest.param(CONTAINERD, kubelet(), id="containerd as it comes"),
        pytest.param(
            containerd(progress_timeout_seconds=0.0), kubelet(), id="a deadline that is off"
        ),
        pytest.param(
            containerd(progress_timeout_seconds=None, version=""), kubelet(), id="an unknown one"
        ),
        pytest.param(
            containerd(local_pulls=True, local_because=("discard_unpacked_layers",)),
            kubelet(),
            id="local pulls that take nothing away, as on EKS",
        ),
        pytest.param(CONTAINERD, kubelet(0, serial=False), id="pulls in parallel without a bound"),
        pytest.param(CONTAINERD, kubelet(3, serial=False), id="as many pulls as downloads"),
        pytest.param(
            containerd(downloads_per="image"), kubelet(10, serial=False), id="3 for each image"
        ),
        pytest.param(
            containerd(max_concurrent_downloads=0), kubelet(9, serial=False), id="no bound"
        ),
        pytest.param(
            containerd(progress_timeout_seconds=10.0, unread_hosts=("docker.io",)),
            kubelet(node=False),
            id="a machine that is no node",
        ),
        pytest.param(None, kubelet(node=False), id="no runtime and no kubelet"),
    ],
)
def test_quiet(runtime: Runtime | None, of: HostKubelet) -> None:
    said = judge(runtime, of)

    assert [x for x in said if isinstance(x, Finding | Unseen)] == []


@pytest.mark.parametrize(
    "reported",
    [
        "containerd://1.6.20~ds1",
        "containerd://1.7.10",
        "containerd://2.1.4-k3s1",
        "cri-o://1.28.11",
        "cri-o://1.30.14",
        "cri-o://1.31.9",
        "cri-o://1.32.4",
        "cri-o://1.33.0",
    ],
)
def test_quiet_of_a_cluster(reported: str) -> None:
    assert judge(of=kubelet(node=False), nodes=cluster(reported)) == []


@pytest.mark.parametrize(
    ("reported", "called"),
    [
        ("docker://28.2.2", "docker://28.2.2"),
        ("containerd://dev", "containerd://dev"),
        ("", "noth"),
    ],
    ids=["cri-dockerd's version is not told", "no version", "no runtime"],
)
def test_runtimes_of_which_nodes_tell_too_little_are_not_taken_for_fine(
    reported: str, called: str
) -> None:
    (said,) = judge(of=kubelet(node=False), nodes=cluster("containerd://2.1.4", reported, reported))

    assert isinstance(said, Unseen)
    assert said.subject == "the container runtimes of 2 nodes"
    assert f"n1 calls its own {called}" in said.reason


def unused(why: str, because: str) -> Runtime:
    where = "/etc/containerd/config.toml [plugins.x]"
    return containerd(unused=(Unused("max_concurrent_downloads", "10", where, why, because),))


@pytest.mark.parametrize(
    ("runtime", "of", "code", "said"),
    [
        pytest.param(
            containerd(progress_timeout_seconds=60.0, version="1.7.3"),
            kubelet(),
            "short-deadline",
            "containerd cancels a pull after 60s without progress (default)",
            id="containerd 1.7.3",
        ),
        pytest.param(
            Runtime(name="cri-o", version="1.31.4", progress_timeout_seconds=10.0),
            kubelet(),
            "short-deadline",
            "CRI-O cancels a pull after 10s",
            id="CRI-O 1.31.4",
        ),
        pytest.param(
            Runtime(name="docker", version="0.3.4", progress_timeout_seconds=60.0),
            kubelet(),
            "short-deadline",
            "cri-dockerd cancels a pull after 60s",
            id="cri-dockerd",
        ),
        pytest.param(
            Runtime(name="docker", version="0.2.5", pull_deadline_seconds=119.0),
            kubelet(),
            "hard-deadline",
            "every pull that takes longer than 119s",
            id="cri-dockerd 0.2.5",
        ),
        pytest.param(
            unused("table", "not read"),
            kubelet(),
            "unread-table",
            "max_concurrent_downloads = 10 of /etc/containerd/config.toml [plugins.x] has no "
            "effect: not read",
            id="a table that is not read",
        ),
        pytest.param(
            unused("local", "local"),
            kubelet(),
            "local-pulls",
            "has no effect: local",
            id="local pulls that take a setting away",
        ),
        pytest.param(
            unused("replaced", "gone"),
            kubelet(),
            "replaced-table",
            "has no effect: gone",
            id="a drop-in that takes a table's place",
        ),
        pytest.param(
            containerd(unread_hosts=("docker.io", "quay.io")),
            kubelet(),
            "unread-hosts",
            "hosts.toml of 2 registries (docker.io, quay.io)",
            id="mirrors nobody reads",
        ),
        pytest.param(
            CONTAINERD,
            kubelet(10, serial=False),
            "shared-downloads",
            "up to 10 images at once (default), and containerd 2.3.7 downloads no more than 3",
            id="ten pulls share three downloads",
        ),
    ],
)
def test_found(runtime: Runtime, of: HostKubelet, code: str, said: str) -> None:
    (finding,) = (x for x in judge(runtime, of) if isinstance(x, Finding))

    assert (finding.code, finding.subject) == (code, "node/a")
    assert said in finding.message
    assert finding.remedy
    assert finding.remedy.commands


def test_the_remedy_names_the_table_that_this_version_reads() -> None:
    def table(runtime: Runtime, of: HostKubelet) -> str:
        (finding,) = (x for x in judge(runtime, of) if isinstance(x, Finding))
        assert finding.remedy
        return finding.remedy.manifest.partition("\n")[0]

    many = kubelet(10, serial=False)
    short = containerd(progress_timeout_seconds=60.0)
    old = containerd(progress_timeout_seconds=60.0, version="1.7.3", local_pulls=None)
    assert table(CONTAINERD, many) == "[plugins.'io.containerd.transfer.v1.local']"
    assert table(containerd(local_pulls=True), many) == "[plugins.'io.containerd.cri.v1.images']"
    assert table(short, kubelet()) == "[plugins.'io.containerd.cri.v1.images']"
    assert table(old, kubelet()) == "[plugins.'io.containerd.grpc.v1.cri']"


def test_a_deadline_that_nothing_changes_is_found_from_afar() -> None:
    (finding,) = judge(
        of=kubelet(node=False), nodes=cluster("cri-o://1.30.4", "cri-o://1.30.4", "cri-o://1.30.14")
    )

    assert isinstance(finding, Finding)
    assert (finding.code, finding.subject, finding.observed) == ("short-deadline", "pool/p", 10.0)
    assert finding.message.startswith("CRI-O 1.30.4 on 2 nodes cancels a pull after 10s")


@pytest.mark.parametrize("reported", ["containerd://1.7.2", "cri-o://1.32.1"])
def test_a_deadline_that_a_file_may_change_is_not_judged_from_afar(reported: str) -> None:
    (unseen,) = judge(of=kubelet(node=False), nodes=cluster(reported))

    assert isinstance(unseen, Unseen)
    assert "unless a file of the node says otherwise: run `k8sdiag node` there" in unseen.reason


def test_the_host_itself_is_judged_by_its_files() -> None:
    nodes = Nodes(nodes=(Node(name="a", runtime="containerd://1.7.2"),))

    said = judge(containerd(version="1.7.2"), nodes=nodes)

    assert [x for x in said if isinstance(x, Finding | Unseen)] == []


@pytest.mark.parametrize(
    ("of", "nodes", "unseen"),
    [
        pytest.param(kubelet(), ALONE, True, id="of a node"),
        pytest.param(kubelet(), cluster(), True, id="of a node of the cluster"),
        pytest.param(kubelet(node=False), ALONE, False, id="of no node"),
        pytest.param(HostKubelet(node="a", running=None), ALONE, True, id="of who knows"),
        pytest.param(
            HostKubelet(node="a", running=None), cluster(), False, id="of a pod in the cluster"
        ),
    ],
)
def test_a_runtime_that_can_not_be_seen_is_said(
    of: HostKubelet, nodes: Nodes | Missing, unseen: bool
) -> None:
    missing = Missing(reason="Permission denied: run as root")

    said = list(check(missing, of, nodes, ImagePullRuntime()))

    expected = Unseen(subject="the container runtime of node/a", reason=missing.reason)
    assert said == ([expected] if unseen else [])


def test_a_runtime_beside_an_unknown_kubelet_is_not_judged() -> None:
    host = HostRuntime(node="a", runtime=containerd(progress_timeout_seconds=10.0))
    missing = Missing(reason="no rights")

    (unseen,) = check(host, missing, ALONE, ImagePullRuntime())

    assert unseen == Unseen(subject="the container runtime of node/a", reason="no rights")


def test_what_of_it_is_unknown_is_said_of_nodes_only() -> None:
    host = HostRuntime(node="a", runtime=CONTAINERD, unseen={"containerd": "its version"})
    unseen = Unseen(subject="containerd", reason="its version")

    assert unseen in check(host, kubelet(), ALONE, ImagePullRuntime())
    assert list(check(host, kubelet(node=False), ALONE, ImagePullRuntime())) == []


def test_a_running_kubelet_without_a_runtime_is_not_judged() -> None:
    (unseen,) = judge(None)

    assert isinstance(unseen, Unseen)
    assert unseen.subject == "node/a"


def test_a_cluster_that_was_asked_for_and_not_seen_is_said() -> None:
    (unseen,) = judge(None, kubelet(node=False), Missing(reason="no kubeconfig"))

    assert unseen == Unseen(subject="the cluster", reason="no kubeconfig")


def test_metrics() -> None:
    metrics = {m.name: m.value for m in judge(CONTAINERD) if isinstance(m, Metric)}

    assert metrics == {
        "containerd_max_concurrent_downloads": 3.0,
        "containerd_image_pull_progress_timeout_seconds": 300.0,
        "containerd_local_image_pull": 0.0,
        "containerd_config_info": 1.0,
    }
    assert all(re.fullmatch(r"[a-z_]+", name) for name in metrics)
