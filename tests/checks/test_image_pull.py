"""The forecast: quiet where nothing would change, loud with the node, the time and the setting."""

from array import array

import msgspec
import pytest
from msgspec.structs import replace

from k8sdiag import Metric, Missing, Severity, Usage
from k8sdiag.checks._image_pull_limits import ImagePull
from k8sdiag.checks._image_pull_remedy import more_downloads
from k8sdiag.checks.image_pull import check
from k8sdiag.facts.kubelet import HostKubelet, Kubelet, KubeletConfigs
from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.facts.pods import Pods, pack
from k8sdiag.facts.pulls import ImagePulls, Pull, PullTimes, SizeClass
from k8sdiag.facts.runtime import HostRuntime, Runtime
from k8sdiag.model import Said
from k8sdiag.pulls.downloads import by_default
from tests.checks.pulling import (
    GB,
    NO_KUBELET,
    NODE,
    NOT_READ,
    PARALLEL,
    SERIAL,
    TEN,
    UNBOUNDED,
    findings,
    nodes,
    pods,
    profile,
    told,
    unseen,
)

NO_EVENTS = ImagePulls(pulls=())
NO_RUNTIME = HostRuntime(node="laptop")
NO_PROMETHEUS = Missing(reason="no --prometheus", asked=False)


def judge(
    of: Nodes,
    running: Pods,
    kubelets: KubeletConfigs | Missing = NOT_READ,
    host: HostKubelet | Missing = NO_KUBELET,
    limits: ImagePull | None = None,
    pulls: ImagePulls | Missing = NO_EVENTS,
    runtime: HostRuntime | Missing = NO_RUNTIME,
    times: PullTimes | Missing = NO_PROMETHEUS,
) -> list[Said]:
    return list(check(of, running, kubelets, host, runtime, pulls, times, limits or ImagePull()))


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
    assert len([x for x in said if isinstance(x, Usage)]) == 2  # of its pool, not of each node


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


def test_the_usages_say_where_their_numbers_come_from() -> None:
    said = judge(nodes(*[6] * 10), pods(*TEN), told(SERIAL))

    cold, new = (x for x in said if isinstance(x, Usage))
    assert (cold.limit_id, cold.subject, cold.unit) == ("node-cold-start", "pool/p", "seconds")
    assert (cold.limit, cold.driver) == (600, "pods_per_node")
    assert cold.used > 600
    assert cold.source.startswith("at least, for n1's 10 images (60 GB), one at a time (default)")
    assert (new.limit_id, new.used, new.limit) == ("node-provision", 0, 900)


def test_metrics_of_every_case() -> None:
    running = pods(*TEN, profile(0, policy="Always"), profile(1, kind="DaemonSet"))

    said = judge(nodes(*[6] * 10), running, told(SERIAL))

    values = {
        x.labels.get("case", x.labels.get("pulls")): x.value for x in said if isinstance(x, Metric)
    }
    assert values["serial"] == values["cold-same-pods"] > 10 * 6 * GB / (80 * 2**20)
    # Its image comes second, but it asks last.
    assert values["cold-daemonsets"] == values["cold-same-pods"]
    assert values["new-daemonsets"] == pytest.approx(values["cold-same-pods"] / 10, rel=0.01)
    assert values["warm-restart"] == 0.5
    assert "parallel" not in values


CRITICAL = profile(10, kind="DaemonSet", priority="system-node-critical")
BULK = nodes(*[6] * 10, 0.1)


@pytest.mark.parametrize(
    ("running", "kubelets"),
    [
        pytest.param(pods(CRITICAL, *TEN), told(SERIAL), id="older than the others"),
        pytest.param(pods(*TEN[:3], CRITICAL), told(SERIAL), id="after little"),
        pytest.param(pods(*TEN, CRITICAL), told(UNBOUNDED), id="beside the others"),
        pytest.param(pods(*TEN), told(SERIAL), id="none of them"),
        pytest.param(
            pods(
                *TEN,
                profile(0, kind="DaemonSet", priority="system-node-critical"),
                profile(9, kind="DaemonSet", priority="system-node-critical"),
                profile(*range(8), kind="DaemonSet", priority="system-node-critical"),
            ),
            told(SERIAL),
            id="which are the bulk themselves",
        ),
    ],
)
def test_quiet_where_node_critical_images_wait_for_nobody(
    running: Pods, kubelets: KubeletConfigs
) -> None:
    assert "queued" not in [f.code for f in findings(judge(BULK, running, kubelets))]


def test_node_critical_images_queue_behind_those_of_older_pods() -> None:
    found = {f.code: f for f in findings(judge(BULK, pods(*TEN, CRITICAL), told(SERIAL)))}

    assert found.keys() == {"queued", "serialized"}
    queued = found["queued"]
    assert queued.observed is not None
    assert queued.observed > 10 * 6 * GB / (80 * 2**20)
    assert "on n1 the images of 1 node-critical pods are there after 13 minutes" in queued.message
    assert "alone after 2s" in queued.message
    assert "the largest of 6 GB" in queued.message
    assert queued.remedy is not None
    assert "serializeImagePulls: false" in queued.remedy.manifest


def test_a_static_pod_is_taken_up_before_all_others() -> None:
    static = replace(CRITICAL, workload=replace(CRITICAL.workload, kind="StaticPod"))

    said = judge(BULK, pods(*TEN, static), told(SERIAL))

    assert "queued" not in [f.code for f in findings(said)]


def test_a_new_node_whose_daemonsets_take_longer_than_an_autoscaler_waits() -> None:
    daemons = [profile(i, kind="DaemonSet") for i in range(10)]

    quiet = findings(judge(nodes(*[3] * 10), pods(*daemons), told(SERIAL)))
    loud = {f.code: f for f in findings(judge(nodes(*[8] * 10), pods(*daemons), told(SERIAL)))}

    assert [f.code for f in quiet] == []
    assert loud.keys() == {"daemonsets", "serialized"}
    assert "a new node like n1 needs 17 minutes" in loud["daemonsets"].message


@pytest.mark.parametrize(
    ("disk", "kubelets", "count", "codes"),
    [
        pytest.param(1000.0, told(UNBOUNDED), 40, [], id="nobody says that the disk is slow"),
        pytest.param(125.0, told(PARALLEL), 40, [], id="a bound"),
        pytest.param(125.0, told(SERIAL), 40, [], id="one at a time"),
        pytest.param(125.0, NOT_READ, 40, [], id="unknown"),
        pytest.param(125.0, told(UNBOUNDED), 10, [], id="few pods"),
        pytest.param(125.0, told(UNBOUNDED), 40, ["unbounded"], id="a slow disk without a bound"),
    ],
)
def test_any_number_of_pulls_on_a_slow_disk(
    disk: float, kubelets: KubeletConfigs | Missing, count: int, codes: list[str]
) -> None:
    limits = ImagePull(disk_mib_per_second=disk)
    running = pods(*[profile(i) for i in range(count)])

    found = findings(judge(nodes(*[0.2] * 40), running, kubelets, limits=limits))

    assert [f.code for f in found] == codes


def events(count: int, seconds: float, size: float = 1.0) -> ImagePulls:
    pull = Pull(image="r.io/0:v1", node="n1", seconds=seconds, size_bytes=int(size * GB))
    return ImagePulls(pulls=(pull,) * count)


def test_pulls_that_happened_count_more_than_assumptions() -> None:
    of, running = nodes(*[4] * 10), pods(*TEN)
    assert findings(judge(of, running, told(SERIAL))) == []

    (finding,) = findings(judge(of, running, told(SERIAL), pulls=events(37, seconds=40)))

    assert finding.code == "serialized"
    assert finding.observed == pytest.approx(10 * 4 * 40, rel=0.02)
    assert "by 37 pulls of its own, median 24 MiB/s" in finding.message
    assert "9 minutes at the rates that are otherwise assumed: 3 downloads" in finding.message


def test_a_cluster_that_pulls_fast_is_not_called_slow() -> None:
    of, running = nodes(*[6] * 10), pods(*TEN)

    assert findings(judge(of, running, told(SERIAL), pulls=events(37, seconds=3))) == []


def test_without_events_the_kubelets_metrics_count() -> None:
    of, running = nodes(*[4] * 10), pods(*TEN)
    slow = PullTimes(
        classes=(SizeClass(1 << 30, 5 << 30, ((1, 0), (60, 0), (120, 37))),),
        provenance="metrics of Prometheus",
    )

    (finding,) = findings(judge(of, running, told(SERIAL), times=slow))
    (other,) = findings(judge(of, running, told(SERIAL), times=slow, pulls=events(37, seconds=120)))

    assert finding.observed == pytest.approx(10 * 90, rel=0.02)
    assert "by 37 pulls of its own (metrics of Prometheus), median 43 MiB/s" in finding.message
    assert "by 37 pulls of its own, median 8 MiB/s" in other.message


@pytest.mark.parametrize(
    "pulls",
    [
        pytest.param(events(9, seconds=400), id="too few"),
        pytest.param(events(99, seconds=40, size=0.01), id="too small"),
        pytest.param(Missing(reason='may not list "events"'), id="not read"),
    ],
)
def test_what_tells_too_little_changes_nothing(pulls: ImagePulls | Missing) -> None:
    of, running = nodes(*[4] * 10), pods(*TEN)

    said = judge(of, running, told(SERIAL), pulls=pulls)

    assert said == judge(of, running, told(SERIAL))


@pytest.mark.parametrize(
    ("runtime", "sizes", "first"),
    [
        pytest.param("containerd://2.0.6", [6] * 10, "serializeImagePulls", id="streams per image"),
        pytest.param("containerd://2.1.4", [6] * 10, "serializeImagePulls", id="per node"),
    ],
)
def test_the_setting_that_helps_most_comes_first(
    runtime: str, sizes: list[float], first: str
) -> None:
    (finding,) = findings(
        judge(nodes(*sizes, of=[replace(NODE, runtime=runtime)]), pods(*TEN), told(SERIAL))
    )

    assert finding.remedy is not None
    assert first in finding.remedy.manifest
    assert "maxParallelImagePulls 5: " in finding.message


def test_where_the_runtime_downloads_too_little_at_once_it_is_its_setting() -> None:
    fleet = [replace(NODE, runtime="containerd://2.1.4")]
    slow = ImagePull(stream_mib_per_second=10.0)

    (finding,) = findings(
        judge(
            nodes(*[2] * 20, of=fleet),
            pods(*[profile(i) for i in range(20)]),
            told(PARALLEL),
            limits=slow,
        )
    )

    assert finding.code == "long"
    assert "max_concurrent_downloads 10: " in finding.message
    assert finding.remedy is not None
    assert "[plugins.'io.containerd.transfer.v1.local']" in finding.remedy.manifest
    assert "max_concurrent_downloads = 10" in finding.remedy.manifest


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("containerd://1.7.27", "[plugins.'io.containerd.grpc.v1.cri']"),
        ("containerd://2.0.6", "[plugins.'io.containerd.cri.v1.images']"),
        ("containerd://2.1.4", "[plugins.'io.containerd.transfer.v1.local']"),
        ("docker://24.0.7", '{"max-concurrent-downloads": 10}'),
    ],
)
def test_downloads_are_set_where_the_runtime_reads_them(runtime: str, words: str) -> None:
    node = replace(NODE, runtime=runtime)

    assert words in more_downloads(node, by_default(node), 10).manifest


CONTAINERD = Runtime(
    name="containerd",
    version="2.1.4",
    max_concurrent_downloads=20,
    downloads_per="node",
    local_pulls=True,
    sources={"max_concurrent_downloads": "/etc/containerd/config.toml"},
)
OF_2_1 = [replace(NODE, name=name, runtime="containerd://2.1.4") for name in ("n1", "n2")]
HERE = HostKubelet(node="n1", running=True, settings=PARALLEL)
SLOW_STREAMS = ImagePull(stream_mib_per_second=10.0)


@pytest.mark.parametrize(
    ("host", "runtime", "words"),
    [
        pytest.param(
            HERE,
            HostRuntime(node="n1", runtime=CONTAINERD),
            "of 20 downloads at once per node (/etc/containerd/config.toml of n1)",
            id="read on a node",
        ),
        pytest.param(HERE, NO_RUNTIME, "assumed: 3 downloads at once per node", id="none seen"),
        pytest.param(
            HERE,
            Missing(reason="run as root"),
            "assumed: 3 downloads at once per node",
            id="not read",
        ),
        pytest.param(
            replace(HERE, node="elsewhere"),
            HostRuntime(node="elsewhere", runtime=CONTAINERD),
            "assumed: 3 downloads at once per node",
            id="a host that is none of its nodes",
        ),
        pytest.param(
            HERE,
            HostRuntime(node="n1", runtime=replace(CONTAINERD, name="cri-o")),
            "assumed: 3 downloads at once per node",
            id="another runtime than the node's",
        ),
    ],
)
def test_downloads_at_once_are_those_read_on_a_node_of_the_pool(
    host: HostKubelet, runtime: HostRuntime | Missing, words: str
) -> None:
    """Whichever node of the pool is forecast."""
    for on in ("n1", "n2"):
        said = judge(
            nodes(*[6] * 10, of=OF_2_1),
            pods(*TEN, on=[on]),
            told(PARALLEL),
            host=host,
            runtime=runtime,
            limits=SLOW_STREAMS,
        )
        cold = next(x for x in said if isinstance(x, Usage))
        assert words in cold.source


def test_the_downloads_that_were_read_decide_the_time_and_the_remedy() -> None:
    def judged(runtime: Runtime) -> list[Said]:
        of, running = nodes(*[6] * 10, of=OF_2_1[:1]), pods(*TEN)
        host = HostRuntime(node="n1", runtime=runtime)
        return judge(of, running, NOT_READ, HERE, SLOW_STREAMS, runtime=host)

    few = replace(CONTAINERD, max_concurrent_downloads=2)
    (finding,) = findings(judged(few))
    (other,) = findings(judged(replace(few, layer_fetch_buffer_bytes=8 << 20)))

    assert findings(judged(replace(CONTAINERD, max_concurrent_downloads=0))) != [finding]
    assert finding.observed is not None
    assert finding.observed == pytest.approx(60 * GB / (2 * 10 * 2**20), rel=0.01)
    assert other.observed == finding.observed  # the node's streams are what is short
    assert "max_concurrent_downloads 10: " in finding.message
    assert finding.remedy is not None
    # It pulls by its CRI part, so that is the table which counts.
    assert "[plugins.'io.containerd.cri.v1.images']" in finding.remedy.manifest


@pytest.mark.parametrize(
    ("runtime", "changes"),
    [
        pytest.param("docker://24.0.7", True, id="honoured"),
        pytest.param("containerd://2.1.4", True, id="honoured by containerd"),
        pytest.param("cri-o://1.33.1", False, id="built in"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_downloads_are_changed_only_where_the_runtime_honours_it(
    runtime: str, changes: bool
) -> None:
    of = nodes(*[30] * 10, of=[replace(NODE, runtime=runtime)])
    slow = ImagePull(stream_mib_per_second=2.0)

    (finding,) = findings(judge(of, pods(*TEN), told(PARALLEL), limits=slow))

    assert ("max_concurrent_downloads 10: " in finding.message) is changes
    assert finding.remedy is not None
    assert ("max" in finding.remedy.summary + finding.remedy.manifest) is changes


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
