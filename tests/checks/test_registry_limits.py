"""What registries are asked for together: quiet where they bear it or nobody knows."""

import pytest
from msgspec.structs import replace

from k8sdiag import Usage
from k8sdiag.checks.registry_limits import RegistryLimits, check
from k8sdiag.facts.pods import Container, Pods, Profile, Workload
from k8sdiag.model import Said
from tests.checks.pulling import NODE, findings, nodes, pods, profile, unseen

FLEET = [replace(NODE, name=f"n{i}") for i in range(1, 51)]
NAMES = [n.name for n in FLEET]


def asking(*images: str, policy: str = "IfNotPresent", secret: bool = False) -> Profile:
    return Profile(
        workload=Workload("shop", "Deployment", "web"),
        containers=tuple(Container(image=image, pull_policy=policy) for image in images),
        pull_secrets=secret,
    )


def judge(running: Pods, limits: RegistryLimits | None = None) -> list[Said]:
    return list(check(nodes(1, of=FLEET), running, limits or RegistryLimits()))


def usages(said: list[Said]) -> dict[str, Usage]:
    return {x.limit_id: x for x in said if isinstance(x, Usage)}


HUB = ("nginx", "library/redis:7", "docker.io/grafana/grafana:12.0")


@pytest.mark.parametrize(
    "running",
    [
        pytest.param(pods(asking(*HUB), on=NAMES[:33]), id="few nodes"),
        pytest.param(pods(*[asking(HUB[0])] * 9, on=NAMES), id="one image, once a node"),
        pytest.param(pods(asking(*HUB, secret=True), on=NAMES), id="with a secret"),
        pytest.param(pods(asking(*HUB, policy="Never"), on=NAMES), id="that are never pulled"),
        pytest.param(pods(replace(asking(*HUB), phase="Succeeded"), on=NAMES), id="that ended"),
        pytest.param(
            pods(asking(*[f"mirror.example/{i}" for i in HUB]), on=NAMES), id="from a mirror"
        ),
        pytest.param(pods(asking(*HUB), on=[f"gone{i}" for i in range(99)]), id="gone nodes"),
        pytest.param(
            pods(asking("r.example/a:1", policy="Always"), on=NAMES), id="always, but little"
        ),
        pytest.param(
            pods(*[asking("1.dkr.ecr.eu-1.amazonaws.com/a", policy="Always")] * 100, on=NAMES),
            id="always, of a large registry",
        ),
        pytest.param(
            pods(*[asking("nginx", policy="Always")] * 100, on=NAMES),
            id="always of Docker Hub, where asking is free",
        ),
        pytest.param(pods(*[profile(0)] * 100, on=NAMES), id="a herd, but no rate is known"),
    ],
)
def test_quiet(running: Pods) -> None:
    said = judge(running)

    assert findings(said) == []
    assert unseen(said) == []


def test_docker_hub_without_a_login() -> None:
    said = judge(pods(asking(*HUB), on=NAMES))

    (finding,) = findings(said)
    assert (finding.code, finding.subject) == ("docker-hub", "pool/p")
    assert (finding.observed, finding.limit) == (150, 100)
    assert "docker.io/library/nginx:latest" in finding.message
    assert "unless a mirror or credentials of the nodes answer" in finding.message
    usage = usages(said)["docker-hub-pulls"]
    assert (usage.used, usage.limit, usage.driver) == (150, 100, "nodes")


@pytest.mark.parametrize(
    ("image", "limits", "words"),
    [
        pytest.param(
            "r.example:5000/a:1",
            RegistryLimits(),
            "what it bears is not known, others 3,000 requests a minute",
            id="not known",
        ),
        pytest.param(
            "acme.azurecr.io/a:1", RegistryLimits(), "it bears 3,000 requests", id="Azure"
        ),
        pytest.param(
            "r.example:5000/a:1",
            RegistryLimits(requests_per_minute=500.0),
            "it bears 500 requests",
            id="told",
        ),
    ],
)
def test_always_on_many_containers(image: str, limits: RegistryLimits, words: str) -> None:
    said = judge(pods(*[asking(image, policy="Always")] * 40, on=NAMES), limits)

    (finding,) = findings(said)
    assert (finding.code, finding.subject) == ("always", f"registry/{image.partition('/')[0]}")
    assert "2,000 containers with imagePullPolicy: Always ask the registry 4,000 times" in (
        finding.message
    )
    assert words in finding.message
    assert ("registry-requests" in usages(said)) is ("not known" not in words)


@pytest.mark.parametrize(("gbit", "codes"), [(10.0, []), (0.5, ["herd"])])
def test_a_herd_at_the_rate_of_its_registry(gbit: float, codes: list[str]) -> None:
    said = judge(pods(profile(0), on=NAMES), RegistryLimits(registry_gbit_per_second=gbit))

    assert [f.code for f in findings(said)] == codes
    usage = usages(said)["registry-herd"]
    assert usage.used == pytest.approx(50 * 8 / gbit)
    assert usage.source.startswith("50 GB for 50 nodes at once")
    summaries = [f.remedy.summary for f in findings(said) if f.remedy]
    assert all("37 fit into 600s" in summary for summary in summaries)
    assert len(summaries) == len(codes)
