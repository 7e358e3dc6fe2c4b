"""Kubelets' pull settings: equal ones are quiet, and what nobody asked is unseen."""

import pytest
from msgspec.structs import replace

from k8sdiag import Metric, Missing, Severity, Usage
from k8sdiag.checks.image_pull_settings import ImagePullSettings, check
from k8sdiag.facts.kubelet import HostKubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Pods
from k8sdiag.model import Said
from tests.checks.pulling import (
    NO_KUBELET,
    NODE,
    NOT_ASKED,
    NOT_READ,
    PARALLEL,
    SERIAL,
    UNBOUNDED,
    findings,
    nodes,
    pods,
    profile,
    told,
    unseen,
)

MANY = pods(*[profile(0)] * 110)


def judge(
    of: Nodes | Missing,
    running: Pods | Missing,
    kubelets: KubeletConfigs | Missing,
    host: HostKubelet | Missing = NO_KUBELET,
) -> list[Said]:
    return list(check(of, running, kubelets, host, ImagePullSettings()))


@pytest.mark.parametrize(
    ("running", "settings"),
    [
        pytest.param(MANY, SERIAL, id="one at a time"),
        pytest.param(MANY, PARALLEL, id="many pods, but a bound"),
        pytest.param(pods(*[profile(0)] * 60), UNBOUNDED, id="few pods without a bound"),
        pytest.param(MANY, replace(UNBOUNDED, registry_pull_qps=0), id="no limit of the rate"),
        pytest.param(
            pods(*[profile(0, phase="Succeeded")] * 110), UNBOUNDED, id="pods that have ended"
        ),
        pytest.param(
            pods(*[profile(0, policy="Never")] * 110), UNBOUNDED, id="images that are never pulled"
        ),
    ],
)
def test_quiet(running: Pods, settings: KubeletSettings) -> None:
    said = judge(nodes(0.1), running, told(settings))

    assert findings(said) == []
    assert unseen(said) == []


@pytest.mark.parametrize(
    "kubelets",
    [
        pytest.param(told(SERIAL, SERIAL, SERIAL), id="equal"),
        pytest.param(told(SERIAL, replace(SERIAL, sources={})), id="equal, from elsewhere"),
        pytest.param(
            told(SERIAL, replace(SERIAL, registry_pull_qps=None)), id="a value that nobody tells"
        ),
        pytest.param(told(SERIAL, PARALLEL, pool=""), id="nodes without a pool"),
        pytest.param(
            KubeletConfigs(
                kubelets=(*told(SERIAL).kubelets, *told(PARALLEL, node="n2", pool="q").kubelets)
            ),
            id="two pools",
        ),
        pytest.param(
            KubeletConfigs(
                kubelets=(
                    *told(SERIAL).kubelets,
                    *(replace(k, version="v1.37.0") for k in told(PARALLEL, node="n2").kubelets),
                )
            ),
            id="a pool that is being upgraded",
        ),
    ],
)
def test_quiet_where_kubelets_do_not_differ(kubelets: KubeletConfigs) -> None:
    assert findings(judge(nodes(0.1), pods(profile(0)), kubelets)) == []


def test_kubelets_of_one_pool_that_differ() -> None:
    other = replace(PARALLEL, registry_pull_qps=20)

    (finding,) = findings(judge(nodes(0.1), pods(profile(0)), told(SERIAL, SERIAL, other)))

    assert (finding.code, finding.subject) == ("differ", "pool/p")
    assert "3 kubelets v1.36.3 of the pool were asked" in finding.message
    assert "serializeImagePulls is true on n1, false on n3" in finding.message
    assert "maxParallelImagePulls is 0 on n1, 5 on n3" in finding.message
    assert "registryPullQPS is 5 on n1, 20 on n3" in finding.message
    assert "registryBurst" not in finding.message


def test_pulls_that_the_kubelet_refuses() -> None:
    said = judge(nodes(0.1), MANY, told(UNBOUNDED))

    (finding,) = findings(said)
    assert (finding.code, finding.severity) == ("refused", Severity.WARNING)
    assert (finding.observed, finding.limit) == (110, 60)
    assert "pull QPS exceeded" in finding.message
    (usage,) = (x for x in said if isinstance(x, Usage))
    assert (usage.limit_id, usage.subject, usage.used, usage.limit) == (
        "image-pull-starts",
        "pool/p",
        110,
        60,
    )


def test_settings_that_nobody_read_are_unseen() -> None:
    (gap,) = unseen(judge(nodes(0.1), pods(profile(0)), NOT_READ))

    assert gap.reason == NOT_READ.reason


@pytest.mark.parametrize(("count", "gaps"), [(60, 0), (61, 1)])
def test_a_node_without_a_kubelet_that_answered_is_unseen_where_it_matters(
    count: int, gaps: int
) -> None:
    other = told(SERIAL, node="n9", pool="q")

    found = unseen(judge(nodes(0.1), pods(*[profile(0)] * count), other))

    assert [g.subject for g in found] == ["the kubelets of 1 nodes"] * gaps


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


def test_the_flag_that_later_kubelets_do_not_know() -> None:
    settings = replace(SERIAL, image_pull_progress_deadline_seconds=1800.0)
    host = HostKubelet(node="n1", running=True, settings=settings)

    (finding,) = findings(judge(NOT_ASKED, NOT_ASKED, NOT_ASKED, host))

    assert (finding.code, finding.subject) == ("removed-flag", "node/n1")


def test_metrics_of_this_host() -> None:
    host = HostKubelet(node="n1", running=True, settings=UNBOUNDED)

    said = judge(NOT_ASKED, NOT_ASKED, NOT_ASKED, host)

    assert {x.name: x.value for x in said if isinstance(x, Metric)} == {
        "kubelet_serialize_image_pulls": 0,
        "kubelet_registry_pull_qps": 5,
        "kubelet_registry_burst": 10,
    }


def test_a_kubelet_before_1_27_ignores_a_bound() -> None:
    """SetDefaults_KubeletConfiguration makes a bound imply parallel pulls from 1.27 on only."""
    old = replace(NODE, kubelet="v1.26.15")
    implied = replace(
        PARALLEL, sources={"serialize_image_pulls": "default"}, max_parallel_image_pulls=20
    )
    host = HostKubelet(node="n1", running=True, settings=implied)
    new = judge(nodes(0.1), MANY, NOT_ASKED, host)

    assert [f.code for f in findings(new)] == ["refused"]
    assert findings(judge(nodes(0.1, of=[old]), MANY, NOT_ASKED, host)) == []
