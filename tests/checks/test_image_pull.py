from array import array
from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from k8sdiag import Finding, Metric, Missing, Severity, Unseen, Usage
from k8sdiag.checks.image_pull import ImagePull, check
from k8sdiag.facts.kubelet import HostKubelet, Kubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload, pack
from k8sdiag.model import Said

GB = 10**9
NODE = Node(name="n1", pool="p", kubelet="v1.36.3", runtime="containerd://2.0.6", cpus=32)
NOT_ASKED = Missing(reason="this command looks at this host alone", asked=False)
NOT_READ = Missing(reason="not read: add --kubelet-configz=proxy")
NO_KUBELET = HostKubelet(node="laptop", running=False)
SERIAL = KubeletSettings(
    serialize_image_pulls=True,
    max_parallel_image_pulls=0,
    registry_pull_qps=5,
    registry_burst=10,
    sources={"serialize_image_pulls": "default"},
)
UNBOUNDED = replace(SERIAL, serialize_image_pulls=False)
PARALLEL = replace(UNBOUNDED, max_parallel_image_pulls=5)


def nodes(*sizes: float, of: Sequence[Node] = (NODE,)) -> Nodes:
    """Nodes that all hold images of these sizes in GB, called r/0, r/1, ..."""
    images = tuple(Image(names=(f"r.io/{i}:v1",), size_bytes=int(s * GB)) for i, s in _each(sizes))
    held = tuple(range(len(images)))
    return Nodes(nodes=tuple(replace(n, images=n.images or held) for n in of), images=images)


def _each(sizes: Sequence[float]) -> Sequence[tuple[int, float]]:
    return list(enumerate(sizes))


def profile(*images: object, phase: str = "Running", policy: str = "IfNotPresent") -> Profile:
    return Profile(
        workload=Workload("shop", "Deployment", "web"),
        containers=tuple(Container(image=f"r.io/{i}:v1", pull_policy=policy) for i in images),
        phase=phase,
    )


def pods(*profiles: Profile, on: Sequence[str] = ("n1",)) -> Pods:
    """One pod of each profile on each node."""
    count = len(profiles)
    return Pods(
        profiles=profiles,
        nodes=tuple(on),
        profile_column=pack(array("I", list(range(count)) * len(on))),
        node_column=pack(array("I", [n for n in range(len(on)) for _ in range(count)])),
    )


def told(*settings: KubeletSettings, node: str = "n1", pool: str = "p") -> KubeletConfigs:
    return KubeletConfigs(
        kubelets=tuple(
            Kubelet(
                node=node if i == 0 else f"n{i + 1}", pool=pool, version="v1.36.3", settings=each
            )
            for i, each in enumerate(settings)
        )
    )


def judge(
    of: Nodes | Missing,
    running: Pods | Missing,
    kubelets: KubeletConfigs | Missing = NOT_READ,
    host: HostKubelet | Missing = NO_KUBELET,
    limits: ImagePull | None = None,
) -> list[Said]:
    return list(check(of, running, kubelets, host, limits or ImagePull()))


def findings(said: Sequence[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def unseen(said: Sequence[Said]) -> list[Unseen]:
    return [x for x in said if isinstance(x, Unseen)]


TEN = [profile(i) for i in range(10)]


@pytest.mark.parametrize(
    ("of", "running", "kubelets"),
    [
        pytest.param(
            nodes(*[0.5] * 10), pods(*TEN), told(SERIAL), id="one at a time, but little to pull"
        ),
        pytest.param(
            nodes(*[6] * 10), pods(*TEN), told(PARALLEL), id="much to pull, but in parallel"
        ),
        pytest.param(
            nodes(*[0.5] * 10), pods(*TEN), NOT_READ, id="settings unknown, but fast either way"
        ),
        pytest.param(nodes(*[6] * 10), pods(*TEN, on=["gone"]), told(SERIAL), id="no pods on it"),
        pytest.param(
            nodes(*[6] * 10),
            pods(*[profile(i, phase="Succeeded") for i in range(10)]),
            told(SERIAL),
            id="pods that have ended",
        ),
        pytest.param(
            nodes(*[6] * 10),
            pods(*[profile(i, policy="Never") for i in range(10)]),
            told(SERIAL),
            id="images that are never pulled",
        ),
        pytest.param(
            nodes(*[6] * 10, of=[replace(NODE, runtime="cri-o://1.33.1")]),
            pods(*TEN[:4]),
            told(SERIAL),
            id="sizes that are uncompressed ones",
        ),
        pytest.param(
            nodes(*[0.01] * 50),
            pods(*[profile(i) for i in range(60)]),
            told(SERIAL),
            id="sizes cut off a list of 50 that can only be small",
        ),
        pytest.param(
            nodes(0.1), pods(*[profile(0)] * 110), told(PARALLEL), id="many pods, but a bound"
        ),
        pytest.param(
            nodes(0.1), pods(*[profile(0)] * 60), told(UNBOUNDED), id="few pods without a bound"
        ),
        pytest.param(
            nodes(0.1),
            pods(*[profile(0)] * 110),
            told(replace(UNBOUNDED, registry_pull_qps=0)),
            id="many pods without any limit",
        ),
    ],
)
def test_quiet(of: Nodes, running: Pods, kubelets: KubeletConfigs | Missing) -> None:
    said = judge(of, running, kubelets)

    assert findings(said) == []
    assert unseen(said) == []


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(NO_KUBELET, id="no kubelet"),
        pytest.param(replace(NO_KUBELET, running=True, settings=SERIAL), id="one at a time"),
        pytest.param(replace(NO_KUBELET, running=True, settings=UNBOUNDED), id="no bound"),
    ],
)
def test_a_host_alone_is_no_reason_for_alarm(host: HostKubelet) -> None:
    said = judge(NOT_ASKED, NOT_ASKED, NOT_ASKED, host)

    assert findings(said) == []
    assert unseen(said) == []


def test_a_host_whose_processes_hide_is_unseen_where_nothing_else_is_asked() -> None:
    hidden = replace(NO_KUBELET, running=None, unseen="run it with hostPID")

    (alone,) = unseen(judge(NOT_ASKED, NOT_ASKED, NOT_ASKED, hidden))
    assert alone.reason == "run it with hostPID"
    assert unseen(judge(nodes(0.1), pods(profile(0)), told(SERIAL), hidden)) == []


@pytest.mark.parametrize(
    ("size", "severity"),
    [(6, Severity.WARNING), (20, Severity.CRITICAL)],
)
def test_serialized(size: float, severity: Severity) -> None:
    said = judge(nodes(*[size] * 10), pods(*TEN), told(SERIAL))

    (finding,) = findings(said)
    assert (finding.code, finding.severity) == ("serialized", severity)
    assert finding.subject == "pool/p"
    assert f"n1's 10 images ({10 * size:g} GB) one at a time (default)" in finding.message
    assert "assumed: 3 downloads at once per image, 60 MiB/s each" in finding.message
    assert finding.observed is not None
    assert finding.observed >= 10 * size * GB / (80 * 2**20)
    assert finding.remedy is not None
    assert "serializeImagePulls: false\nmaxParallelImagePulls: 5\n" in finding.remedy.manifest


def test_one_finding_per_pool_names_the_worst_node() -> None:
    fleet = [replace(NODE, name=f"n{i}") for i in range(1, 41)]
    images = nodes(*[6] * 12, of=fleet)
    names = [n.name for n in fleet]
    column = [p for n in range(40) for p in range(12 if n == 7 else 11)]
    on = [n for n in range(40) for _ in range(12 if n == 7 else 11)]
    running = Pods(
        profiles=tuple(profile(i) for i in range(12)),
        nodes=tuple(names),
        profile_column=pack(array("I", column)),
        node_column=pack(array("I", on)),
    )

    said = judge(images, running, told(SERIAL))

    (finding,) = findings(said)
    assert "n8's 12 images" in finding.message
    assert "39 more of its nodes" in finding.message
    assert len([x for x in said if isinstance(x, Usage)]) == 1


@pytest.mark.parametrize(
    ("kubelets", "how"),
    [
        pytest.param(told(SERIAL), "one at a time (default)", id="one at a time"),
        pytest.param(told(UNBOUNDED), "any number at a time (default)", id="parallel"),
        pytest.param(NOT_READ, "in parallel at best", id="unknown"),
    ],
)
def test_long_where_parallel_pulls_do_not_help(
    kubelets: KubeletConfigs | Missing, how: str
) -> None:
    said = judge(nodes(70), pods(profile(0)), kubelets)

    (finding,) = findings(said)
    assert finding.code == "long"
    assert how in finding.message
    assert finding.remedy is not None
    assert finding.remedy.manifest == ""


def test_too_few_at_once_can_be_raised() -> None:
    two = replace(PARALLEL, max_parallel_image_pulls=2)

    (finding,) = findings(judge(nodes(*[18] * 10), pods(*TEN), told(two)))

    assert finding.code == "long"
    assert "2 at a time" in finding.message
    assert finding.remedy is not None
    assert "maxParallelImagePulls: 5" in finding.remedy.manifest


def test_unknown_settings_are_unseen_where_they_matter() -> None:
    bottlerocket = replace(NODE, os_image="Bottlerocket OS 1.30.0 (aws-k8s-1.31)")
    fleet = [bottlerocket, replace(NODE, name="n2", pool="q"), replace(NODE, name="n3", pool="r")]
    small = Image(names=("r.io/small:v1",), size_bytes=1)
    of = nodes(*[6] * 10, of=fleet)
    of = replace(of, images=(*of.images, small))

    said = judge(of, pods(*TEN, on=["n1", "n2"]))

    assert findings(said) == []
    (gap,) = unseen(said)
    assert gap.subject == "pool/p and 1 more pool"
    assert gap.reason.endswith(
        "or more one at a time, and which is unknown, though Bottlerocket ships parallel pulls: "
        "not read: add --kubelet-configz=proxy"
    )


def test_kubelets_of_one_pool_that_differ_leave_the_others_unknown() -> None:
    fleet = [replace(NODE, name=f"n{i}") for i in (1, 2, 3)]

    said = judge(nodes(*[6] * 10, of=fleet), pods(*TEN, on=["n3"]), told(SERIAL, PARALLEL))

    (gap,) = unseen(said)
    assert gap.reason.endswith("the kubelets asked of its pool and version differ")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        pytest.param("n1.example.org", "serialized", id="a node of this cluster"),
        pytest.param("n10", "", id="none of its nodes"),
    ],
)
def test_this_hosts_kubelet_tells_of_its_pool(host: str, code: str) -> None:
    here = HostKubelet(node=host, running=True, settings=SERIAL)

    said = judge(nodes(*[6] * 10), pods(*TEN), NOT_READ, here)

    assert [f.code for f in findings(said)] == ([code] if code else [])
    assert bool(unseen(said)) is not bool(code)


def test_sizes_that_no_node_tells_are_unseen() -> None:
    (gap,) = unseen(judge(nodes(0.1), pods(profile(0, "x", "y")), told(SERIAL)))

    assert "the sizes of 2 of the 3 images of n1" in gap.reason


def test_the_list_of_another_node_tells_a_size() -> None:
    cold = replace(NODE, name="cold", images=(9,))
    of = nodes(*[6] * 10, of=[NODE, cold])

    said = judge(of, pods(*TEN, on=["cold"]), told(SERIAL, node="cold"))

    assert [f.code for f in findings(said)] == ["serialized"]
    assert unseen(said) == []


def test_pulls_that_the_kubelet_refuses() -> None:
    (finding,) = findings(judge(nodes(0.1), pods(*[profile(0)] * 110), told(UNBOUNDED)))

    assert (finding.code, finding.severity) == ("refused", Severity.WARNING)
    assert (finding.observed, finding.limit) == (110, 60)
    assert "pull QPS exceeded" in finding.message


def test_the_flag_that_later_kubelets_do_not_know() -> None:
    settings = replace(SERIAL, image_pull_progress_deadline_seconds=1800.0)
    host = HostKubelet(node="n1", running=True, settings=settings)

    (finding,) = findings(judge(NOT_ASKED, NOT_ASKED, NOT_ASKED, host))

    assert (finding.code, finding.subject) == ("removed-flag", "node/n1")


NO_NODES = Missing(reason='may not list "nodes"')
NO_PODS = Missing(reason='may not list "pods"')
NO_CLUSTER = Missing(reason="no kubeconfig")


@pytest.mark.parametrize(
    ("of", "running", "reasons"),
    [
        (NO_NODES, pods(), ['may not list "nodes"']),
        (nodes(), NO_PODS, ['may not list "pods"']),
        (NO_NODES, NO_PODS, ['may not list "nodes"', 'may not list "pods"']),
        (NO_CLUSTER, NO_CLUSTER, ["no kubeconfig"]),
    ],
)
def test_what_could_not_be_listed_is_unseen(
    of: Nodes | Missing, running: Pods | Missing, reasons: list[str]
) -> None:
    assert [gap.reason for gap in unseen(judge(of, running))] == reasons


def test_the_usage_says_where_its_numbers_come_from() -> None:
    said = judge(nodes(*[6] * 10), pods(*TEN), told(SERIAL))

    (usage,) = (x for x in said if isinstance(x, Usage))
    assert (usage.limit_id, usage.subject, usage.unit) == ("node-cold-start", "pool/p", "seconds")
    assert (usage.limit, usage.driver) == (600, "pods_per_node")
    assert usage.used > 600
    assert usage.source.startswith("at least, for n1's 10 images (60 GB), one at a time (default)")


def test_metrics_of_the_pool_and_of_this_host() -> None:
    host = HostKubelet(node="n1", running=True, settings=UNBOUNDED)

    said = judge(nodes(*[6] * 10), pods(*TEN), NOT_READ, host)

    metrics = {(x.name, x.labels.get("pulls")): x.value for x in said if isinstance(x, Metric)}
    cold = {pulls: metrics.pop(("node_cold_start_seconds", pulls)) for pulls in _PULLS}
    assert cold["serial"] > cold["parallel"] > 0
    assert metrics == {
        ("kubelet_serialize_image_pulls", None): 0,
        ("kubelet_registry_pull_qps", None): 5,
        ("kubelet_registry_burst", None): 10,
    }


_PULLS = ("serial", "parallel")


@pytest.mark.parametrize(
    ("node", "words"),
    [
        pytest.param(NODE, "sudo kubeadm upgrade node phase kubelet-config", id="kubeadm"),
        pytest.param(
            replace(NODE, kubelet="v1.33.1+k3s1"), "systemctl restart k3s-agent", id="k3s"
        ),
        pytest.param(
            replace(NODE, kubelet="v1.33.1+rke2r1"), "/var/lib/rancher/rke2/agent", id="RKE2"
        ),
        pytest.param(
            replace(NODE, os_image="Red Hat Enterprise Linux CoreOS 418.94"),
            "oc apply",
            id="OpenShift",
        ),
    ],
)
def test_the_remedy_is_what_the_distribution_takes(node: Node, words: str) -> None:
    kubelets = KubeletConfigs(kubelets=(Kubelet(node="n1", settings=SERIAL),))

    (finding,) = findings(judge(nodes(*[6] * 10, of=[node]), pods(*TEN), kubelets))

    assert finding.remedy is not None
    assert words in " ".join(finding.remedy.commands)


def test_a_kubelet_before_1_27_knows_no_bound() -> None:
    old = replace(NODE, kubelet="v1.26.15")
    kubelets = KubeletConfigs(kubelets=(Kubelet(node="n1", settings=SERIAL),))

    (finding,) = findings(judge(nodes(*[6] * 10, of=[old]), pods(*TEN), kubelets))

    assert finding.remedy is not None
    assert "maxParallelImagePulls" not in finding.remedy.manifest


@pytest.mark.parametrize("field", ["gunzip_mib_per_second", "parallel_pulls"])
def test_a_rate_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"> 0|>= 1"):
        msgspec.convert({field: 0}, type=ImagePull)


def test_a_slower_disk_is_a_setting() -> None:
    gp3 = ImagePull(disk_mib_per_second=125.0)

    said = judge(nodes(*[3] * 10), pods(*TEN), told(SERIAL), limits=gp3)

    assert [f.code for f in findings(said)] == ["long"]
    assert findings(judge(nodes(*[3] * 10), pods(*TEN), told(SERIAL))) == []
