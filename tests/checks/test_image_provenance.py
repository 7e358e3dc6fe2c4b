from array import array

import pytest

from k8sdiag.checks.image_provenance import ImageProvenance, check
from k8sdiag.facts.image_policies import ImagePolicies, ImagePolicy, Vulnerabilities
from k8sdiag.facts.pods import Container, Pods, Profile, Workload, pack
from k8sdiag.model import Finding, Metric, Missing, Said, Severity, Unseen

DAY = 86_400
DIGEST = "@sha256:" + "0" * 64
NONE = ImagePolicies(policies=())
NOT_INSTALLED = Vulnerabilities(installed=False)
KYVERNO = ImagePolicy("ClusterPolicy", "verify", "Kyverno")
NAMES_ONLY = ImagePolicy("ValidatingAdmissionPolicy", "ours", "Kubernetes", verifies=False)


def pods(*images: str, phase: str = "Running", ages: tuple[int, ...] = (), each: int = 1) -> Pods:
    """One workload an image, with `each` pods, of so many days."""
    profiles = tuple(
        Profile(
            workload=Workload("shop", "Deployment", f"w{i}"),
            containers=(Container(image=image),),
            phase=phase,
        )
        for i, image in enumerate(images)
    )
    numbers = [i for i in range(len(images)) for _ in range(each)]
    made = [1000 * DAY - (ages[i] * DAY if ages else 0) for i in numbers]
    return Pods(
        profiles=profiles,
        nodes=("a",),
        profile_column=pack(array("I", numbers)),
        node_column=pack(array("I", [0] * len(numbers))),
        created_column=pack(array("I", made)),
    )


def judge(
    seen: Pods | Missing,
    policies: ImagePolicies | Missing = NONE,
    vulnerabilities: Vulnerabilities | Missing = NOT_INSTALLED,
    limits: ImageProvenance | None = None,
) -> list[Said]:
    return list(check(seen, policies, vulnerabilities, limits or ImageProvenance()))


def findings(said: list[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def metrics(said: list[Said]) -> dict[tuple[str, str], float]:
    found = [x for x in said if isinstance(x, Metric)]
    return {(m.name, next(iter(m.labels.values()), "")): m.value for m in found}


ALLOWED = ImageProvenance(allowed_registries=("r.example.com", "docker.io/library/"))


@pytest.mark.parametrize(
    ("seen", "limits"),
    [
        pytest.param(pods(), ImageProvenance(), id="no pods"),
        pytest.param(pods("nginx:1.27"), ImageProvenance(), id="a version"),
        pytest.param(pods(f"nginx{DIGEST}"), ImageProvenance(), id="a digest"),
        pytest.param(pods(f"nginx:latest{DIGEST}"), ImageProvenance(), id="latest with a digest"),
        pytest.param(pods("r.io:5000/latest:1"), ImageProvenance(), id="an image called latest"),
        pytest.param(pods("nginx", phase="Succeeded"), ImageProvenance(), id="ended pods"),
        pytest.param(pods("anything.example.com/a:1"), ImageProvenance(), id="nothing is asked"),
        pytest.param(pods("r.example.com/a:1"), ALLOWED, id="an allowed registry"),
        pytest.param(pods("nginx:1"), ALLOWED, id="an allowed part of Docker Hub"),
        pytest.param(pods("a:1", "b:1", ages=(900, 0)), ImageProvenance(), id="old, nothing asked"),
        pytest.param(
            pods("a:1", "b:1", ages=(90, 0)), ImageProvenance(stale_days=90), id="just as old"
        ),
    ],
)
def test_quiet(seen: Pods, limits: ImageProvenance) -> None:
    assert findings(judge(seen, limits=limits)) == []


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param(ImagePolicies(policies=(KYVERNO,)), id="one verifies"),
        pytest.param(
            ImagePolicies(policies=(), gaps={"policies.kyverno.io": "may not"}),
            id="one could not be read",
        ),
    ],
)
def test_quiet_where_verification_is_asked_for(policies: ImagePolicies) -> None:
    asked = ImageProvenance(require_verification=True)

    assert findings(judge(pods(), policies, limits=asked)) == []


@pytest.mark.parametrize(
    ("seen", "limits", "code", "subject", "said"),
    [
        pytest.param(
            pods("nginx"),
            ImageProvenance(),
            "moving-tag",
            "deployment/shop/w0",
            "nginx run by the tag latest or none",
            id="no tag",
        ),
        pytest.param(
            pods("a:latest", "b", "c:latest", "d:1"),
            ImageProvenance(),
            "moving-tag",
            "3 workloads",
            "3 images (a:latest, b, ...)",
            id="latest of many",
        ),
        pytest.param(
            pods("evil.example.com/a:1", "r.example.com.evil.example.com/b:1", "me/app:1"),
            ImageProvenance(allowed_registries=("evil.example.com", "docker.io")),
            "registry-not-allowed",
            "registry/r.example.com.evil.example.com",
            "which allowed_registries does not name; for deployment/shop/w1",
            id="a name that only begins like an allowed one",
        ),
        pytest.param(
            pods("me/app:1"),
            ALLOWED,
            "registry-not-allowed",
            "registry/docker.io",
            "me/app:1 come from docker.io",
            id="another part of Docker Hub",
        ),
        pytest.param(
            pods("a:1", "b:1", ages=(91, 0)),
            ImageProvenance(stale_days=90),
            "stale",
            "deployment/shop/w0",
            "a:1 for 91",
            id="too old",
        ),
    ],
)
def test_found(seen: Pods, limits: ImageProvenance, code: str, subject: str, said: str) -> None:
    (finding,) = findings(judge(seen, limits=limits))

    assert (finding.code, finding.severity) == (code, Severity.WARNING)
    assert finding.subject == subject
    assert said in finding.message
    assert finding.remedy


def test_names_alone_are_no_signatures() -> None:
    policies = ImagePolicies(policies=(NAMES_ONLY,))

    (finding,) = findings(
        judge(pods(), policies, limits=ImageProvenance(require_verification=True))
    )

    assert finding.code == "nothing-verifies"
    assert "is not seen from here" in finding.message


def test_what_was_not_seen_is_said_once() -> None:
    missing = Missing(reason="no kubeconfig")

    assert judge(missing, missing, missing) == [
        Unseen(subject="the cluster", reason="no kubeconfig")
    ]


def test_metrics() -> None:
    said = judge(
        pods("a:1", f"r.io/b{DIGEST}", "c", each=3, ages=(10, 0, 5)),
        ImagePolicies(policies=(KYVERNO, NAMES_ONLY)),
        Vulnerabilities(installed=True, reports=2, critical=3, high=4),
    )

    assert metrics(said) == {
        ("image_references", "digest"): 1.0,
        ("image_references", "tag"): 1.0,
        ("image_references", "latest"): 1.0,
        ("image_registry_containers", "docker.io"): 6.0,
        ("image_registry_containers", "r.io"): 3.0,
        ("image_oldest_pod_seconds", ""): 10.0 * DAY,
        ("image_policies", "Kubernetes"): 1.0,
        ("image_policies", "Kyverno"): 1.0,
        ("image_signature_policies", ""): 1.0,
        ("image_vulnerability_reports", ""): 2.0,
        ("image_vulnerabilities", "critical"): 3.0,
        ("image_vulnerabilities", "high"): 4.0,
        ("image_vulnerabilities", "medium"): 0.0,
        ("image_vulnerabilities", "low"): 0.0,
        ("image_vulnerabilities", "unknown"): 0.0,
    }


def test_many_registries_are_few_series() -> None:
    found = metrics(judge(pods(*(f"r{i:03}.io/a:1" for i in range(50)))))

    assert found["image_registry_containers", "other"] == 30.0
    assert sum(name == "image_registry_containers" for name, _ in found) == 21
