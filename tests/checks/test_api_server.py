import pytest

from k8sdiag.checks.api_server import ApiServer, check
from k8sdiag.facts.api_traffic import ApiTraffic, Calls, Level
from k8sdiag.facts.cluster import ControlPlane
from k8sdiag.model import Finding, Metric, Missing, Said, Severity, Unseen

ONE = ControlPlane(api_servers=1)
ELSEWHERE = Missing(reason="it runs elsewhere")


def calls(
    requests: float,
    slow: float,
    resource: str = "pods",
    verb: str = "PATCH",
    scope: str = "resource",
) -> Calls:
    """Of which so many took longer than either objective."""
    within = ((1.0, requests - slow), (30.0, requests - slow))
    return Calls(resource=resource, verb=verb, scope=scope, requests=requests, within=within)


def level(requests: float, refused: float, name: str = "workload-low") -> Level:
    schemas = {"service-accounts": refused} if refused else {}
    reasons = {"queue-full": refused} if refused else {}
    return Level(name=name, requests=requests, refused=schemas, reasons=reasons)


def judge(
    *seen: Calls | Level, servers: int = 1, control_plane: ControlPlane | Missing = ONE
) -> list[Said]:
    traffic = ApiTraffic(
        window_seconds=10,
        servers=servers,
        calls=tuple(c for c in seen if isinstance(c, Calls)),
        levels=tuple(x for x in seen if isinstance(x, Level)),
    )
    return list(check(traffic, control_plane, ApiServer()))


def found(said: list[Said]) -> list[Finding]:
    return [f for f in said if isinstance(f, Finding)]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(judge(level(10_000, 0)), id="nothing was refused"),
        pytest.param(judge(level(0, 4)), id="four requests say nothing"),
        pytest.param(judge(level(10_000, 99)), id="a greedy client is held back, below 1 %"),
        pytest.param(judge(calls(10_000, 99)), id="99 % within the objective"),
        pytest.param(judge(calls(10, 4)), id="four slow ones say nothing"),
        pytest.param(judge(calls(500, 500, "foos.example.com")), id="a custom resource"),
        pytest.param(judge(calls(500, 500, verb="DELETE", scope="namespace")), id="many at once"),
        pytest.param(
            judge(
                Calls(
                    resource="pods",
                    verb="LIST",
                    scope="cluster",
                    requests=100,
                    within=((1.0, 0.0), (30.0, 100.0)),
                )
            ),
            id="lists may take 30 s",
        ),
    ],
)
def test_quiet(said: list[Said]) -> None:
    assert found(said) == []
    assert not any(isinstance(x, Unseen) for x in said)


def test_a_window_in_which_nobody_asked_was_not_seen() -> None:
    assert judge() == [Unseen(subject="requests", reason="none was counted in the window")]


def test_what_has_counted_nothing_divides_nothing() -> None:
    assert judge(level(0, 0), calls(0, 0)) == []


@pytest.mark.parametrize(
    ("said", "code", "severity", "subject", "words"),
    [
        pytest.param(
            judge(level(95, 5)),
            "refusing",
            Severity.WARNING,
            "priority-level/workload-low",
            "5 of 100 requests were refused within 10 s (queue-full), most of them of the flow "
            "schema service-accounts",
            id="clients are refused",
        ),
        pytest.param(
            judge(level(0, 50, "node-high")),
            "refusing",
            Severity.CRITICAL,
            "priority-level/node-high",
            "50 of 50",
            id="kubelets are refused",
        ),
        pytest.param(
            judge(calls(100, 8), calls(100, 9, "leases.coordination.k8s.io", "PUT")),
            "slow",
            Severity.WARNING,
            "api-server/writes",
            "of writes, more than 1 in 100 took longer than 1 s within 10 s (webhooks and queues "
            "apart): PUT leases.coordination.k8s.io 9 of 100, PATCH pods 8 of 100",
            id="writes",
        ),
        pytest.param(
            judge(calls(100, 100, verb="GET")),
            "slow",
            Severity.WARNING,
            "api-server/reads-of-one-object",
            "GET pods 100 of 100",
            id="reads",
        ),
        pytest.param(
            judge(*(calls(100, 50, f"r{i}", "LIST", "namespace") for i in range(5))),
            "slow",
            Severity.WARNING,
            "api-server/lists",
            "took longer than 30 s within 10 s (webhooks and queues apart): LIST r0 50 of 100, "
            "LIST r1 50 of 100, LIST r2 50 of 100 and 2 more",
            id="lists",
        ),
    ],
)
def test_found(said: list[Said], code: str, severity: Severity, subject: str, words: str) -> None:
    (finding,) = found(said)

    assert (finding.code, finding.severity, finding.subject) == (code, severity, subject)
    assert words in finding.message


def test_shares_are_measured_even_when_nothing_is_wrong() -> None:
    said = judge(level(999, 1), calls(1000, 1))

    assert [(m.name, m.value, m.labels) for m in said if isinstance(m, Metric)] == [
        ("api_server_refused_ratio", 0.001, {"priority_level": "workload-low"}),
        ("api_server_slow_ratio", 0.001, {"kind": "writes"}),
    ]


def test_what_was_not_counted_at_the_objective_is_unknown() -> None:
    partly = Calls(resource="pods", verb="LIST", scope="cluster", requests=9, within=((1.0, 9.0),))

    (unseen,) = [x for x in judge(partly) if isinstance(x, Unseen)]
    assert (unseen.subject, unseen.reason) == ("lists", "not counted at 30 s, the objective")


@pytest.mark.parametrize(
    ("servers", "control_plane", "why"),
    [
        pytest.param(1, ONE, "", id="the only one"),
        pytest.param(3, ControlPlane(api_servers=3), "", id="all three"),
        pytest.param(2, ELSEWHERE, "", id="those that Prometheus scrapes"),
        pytest.param(1, ControlPlane(api_servers=3), "2 of 3 were not seen", id="one of three"),
        pytest.param(1, ELSEWHERE, "how many there are is not known", id="a managed one"),
    ],
)
def test_api_servers_that_were_not_asked_are_unknown(
    servers: int, control_plane: ControlPlane | Missing, why: str
) -> None:
    said = judge(level(9, 0), servers=servers, control_plane=control_plane)
    reasons = [x.reason for x in said if isinstance(x, Unseen)]

    assert len(reasons) == bool(why)
    assert why in "".join(reasons)
