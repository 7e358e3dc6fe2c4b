import pytest

from k8sdiag.checks._image_pull_causes import CAUSES
from k8sdiag.checks.image_pull_failures import ImagePullFailures, check
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload
from k8sdiag.facts.pull_failures import PullFailure, PullFailures
from k8sdiag.model import Finding, Metric, Missing, Said, Severity
from k8sdiag.pulls import errors

NOTHING = Missing(reason="not read")
IMAGE = "r.example.com/web:1"


def failure(cause: str, count: int = 0, waiting: int = 0, **changes: object) -> PullFailure:
    fields = {"image": IMAGE, "namespace": "shop", "nodes": ("a",), **changes}
    return PullFailure(cause=cause, count=count, waiting=waiting, **fields)  # type: ignore[arg-type]


def judge(
    *failures: PullFailure, pods: Pods | Missing = NOTHING, nodes: Nodes | Missing = NOTHING
) -> list[Said]:
    return list(check(PullFailures(failures=failures), pods, nodes, ImagePullFailures()))


def findings(said: list[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def on(count: int) -> tuple[str, ...]:
    return tuple(f"n{i:03}" for i in range(count))


def cluster(count: int) -> Nodes:
    return Nodes(nodes=tuple(Node(name=name) for name in on(count)))


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param((), id="none"),
        pytest.param((failure("interrupted", 1),), id="one that is over"),
        pytest.param((failure("over-qps", 2),), id="two that are over"),
        pytest.param(
            (failure("interrupted", 2), failure("unreachable", 2)), id="two of each cause, over"
        ),
        pytest.param(
            (
                failure("not-found", 2),
                failure("not-found", 2, image="other.example.com/a:1"),
            ),
            id="two of each registry, over",
        ),
    ],
)
def test_quiet(failures: tuple[PullFailure, ...]) -> None:
    assert findings(judge(*failures)) == []


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_every_cause_is_found(cause: str) -> None:
    (finding,) = findings(judge(failure(cause, 3)))

    assert (finding.code, finding.severity) == (cause, Severity.WARNING)
    assert IMAGE in finding.message
    assert "it failed 3 times within the hour" in finding.message
    assert finding.remedy
    assert finding.remedy.commands


def test_each_cause_that_a_text_can_have_has_words() -> None:
    assert set(errors.CAUSES) == CAUSES.keys()


def test_a_pod_that_waits_is_found_with_its_workload() -> None:
    (finding,) = findings(judge(failure("not-found", waiting=1, workload="deployment/shop/web")))

    assert finding.subject == "deployment/shop/web"
    assert finding.message == f"the registry has no such image: {IMAGE}; 1 pod waits, on a"


def test_many_pods_of_many_workloads_are_one_finding_of_the_registry() -> None:
    rows = [
        failure("no-access", 4, 2, image=f"r.example.com/{i}:1", workload=f"deployment/shop/{i}")
        for i in range(5)
    ]

    (finding,) = findings(judge(*rows))

    assert finding.subject == "registry/r.example.com"
    assert "5 images (r.example.com/0:1, r.example.com/1:1, ...)" in finding.message
    assert "of 5 workloads (deployment/shop/0, deployment/shop/1, ...)" in finding.message
    assert "failed 20 times" in finding.message
    assert "10 pods wait" in finding.message


def test_events_get_their_workload_by_namespace_and_image() -> None:
    owner = Workload("shop", "Deployment", "web")
    other = Workload("else", "Deployment", "web")
    profiles = tuple(
        Profile(workload=w, containers=(Container(image=IMAGE),)) for w in (owner, other)
    )
    pods = Pods(profiles=profiles, nodes=(), profile_column=b"", node_column=b"")

    (finding,) = findings(judge(failure("not-found", 3), pods=pods))

    assert finding.subject == "deployment/shop/web"


def test_a_pod_that_backs_off_has_the_cause_that_events_tell() -> None:
    (finding,) = findings(
        judge(
            failure("interrupted", 1, last_at=100.0),
            failure("not-found", 1, last_at=200.0),
            failure("", waiting=2),
        )
    )

    assert finding.code == "not-found"


def test_a_pod_that_backs_off_for_no_known_cause_is_said() -> None:
    (finding,) = findings(judge(failure("", waiting=2)))

    assert finding.code == "waiting"
    assert "no event tells why" in finding.message


@pytest.mark.parametrize(
    ("cause", "hit", "all_nodes", "severity"),
    [
        pytest.param("too-many-requests", 9, 1000, Severity.WARNING, id="9 of 1000"),
        pytest.param("too-many-requests", 10, 1000, Severity.CRITICAL, id="10 of 1000"),
        pytest.param("disk-full", 2, 10, Severity.CRITICAL, id="2 of 10"),
        pytest.param("disk-full", 1, 1, Severity.WARNING, id="the only node"),
        pytest.param("not-found", 500, 1000, Severity.WARNING, id="a workload's own mistake"),
    ],
)
def test_what_spreads_is_critical(cause: str, hit: int, all_nodes: int, severity: Severity) -> None:
    (finding,) = findings(judge(failure(cause, hit * 3, nodes=on(hit)), nodes=cluster(all_nodes)))

    assert finding.severity is severity


def test_metrics() -> None:
    said = judge(failure("not-found", 2, 1), failure("", 0, 3, image="r.example.com/b:1"))
    values = {(m.name, m.labels.get("cause")): m.value for m in said if isinstance(m, Metric)}

    assert values["image_pull_failures", "not-found"] == 2.0
    assert values["image_pull_failures", "over-qps"] == 0.0
    assert values["image_pull_waiting_pods", None] == 4.0
