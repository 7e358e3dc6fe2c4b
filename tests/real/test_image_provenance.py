"""Policies, vulnerability reports and failed pulls, as a real API server holds them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from k8sdiag.facts.image_policies import ImagePolicy
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.sources import image_policies, pull_failures, vulnerabilities
from tests.real.apiserver import ADMINS, ApiServer, Refused

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
SUMMARY = ("critical", "high", "medium", "low", "unknown")


@pytest.fixture
def door(api_server: ApiServer) -> Iterator[Kubernetes]:
    kubernetes = Kubernetes.open(api_server.kubeconfig("admin", (ADMINS,)))
    yield kubernetes
    kubernetes.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def define(
    api_server: ApiServer,
    stack: ExitStack,
    group: str,
    version: str,
    kind: str,
    plural: str,
    **more: Any,
) -> str:
    """A custom resource definition, until the end of the test; the path of its objects."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    api_server.admin.create(
        CRDS,
        {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Cluster",
                "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                        **more,
                    }
                ],
            },
        },
    )
    stack.callback(api_server.admin.raw, "DELETE", f"{CRDS}/{plural}.{group}")
    path = f"/apis/{group}/{version}/{plural}"
    deadline = time.monotonic() + 30
    while api_server.admin.raw("GET", path)[0] != 200:
        assert time.monotonic() < deadline, f"{path} is not served"
        time.sleep(0.1)
    return path


@contextmanager
def created(api_server: ApiServer, path: str, obj: dict[str, Any]) -> Iterator[None]:
    deadline = time.monotonic() + 30
    while True:
        try:
            api_server.admin.create(path, obj)
            break
        except Refused:  # right after its definition
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    try:
        yield
    finally:
        api_server.admin.raw("DELETE", f"{path}/{obj['metadata']['name']}")


def test_a_cluster_without_policies_costs_the_discovery_and_three_small_lists(
    door: Kubernetes,
) -> None:
    before = door.cost.api_requests

    found = image_policies.collect(door)

    assert (found.policies, found.gaps) == ((), {})
    assert door.cost.api_requests - before == 4
    assert not vulnerabilities.collect(door).installed
    assert door.cost.api_requests - before == 4  # the groups are known


def test_policies_are_told_by_kind_and_name(
    api_server: ApiServer, door: Kubernetes, stack: ExitStack
) -> None:
    kyverno = define(api_server, stack, "kyverno.io", "v1", "ClusterPolicy", "clusterpolicies")
    sigstore = define(
        api_server,
        stack,
        "policy.sigstore.dev",
        "v1beta1",
        "ClusterImagePolicy",
        "clusterimagepolicies",
    )
    verify = [{"name": "signed", "verifyImages": [{"imageReferences": ["*"]}]}]
    other = [{"name": "labels", "validate": {"pattern": {"spec": {"image": "x"}}}}]
    admission = f"{WEBHOOKS}/validatingadmissionpolicies"
    webhooks = f"{WEBHOOKS}/mutatingwebhookconfigurations"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    match = {"resourceRules": [{**rule, "resources": ["pods"]}]}
    few = "object.spec.replicas < 5"
    expression = "object.spec.containers.all(c, c.image.startsWith('r.example.com/'))"
    for path, kind, version, name, body in (
        (kyverno, "ClusterPolicy", "kyverno.io/v1", "signed", {"spec": {"rules": verify}}),
        (kyverno, "ClusterPolicy", "kyverno.io/v1", "labels", {"spec": {"rules": other}}),
        (sigstore, "ClusterImagePolicy", "policy.sigstore.dev/v1beta1", "all", {"spec": {}}),
        (
            admission,
            "ValidatingAdmissionPolicy",
            "admissionregistration.k8s.io/v1",
            "registries",
            {"spec": {"matchConstraints": match, "validations": [{"expression": expression}]}},
        ),
        (
            admission,
            "ValidatingAdmissionPolicy",
            "admissionregistration.k8s.io/v1",
            "replicas",
            {"spec": {"matchConstraints": match, "validations": [{"expression": few}]}},
        ),
        (
            webhooks,
            "MutatingWebhookConfiguration",
            "admissionregistration.k8s.io/v1",
            "connaisseur-webhook",
            {"webhooks": []},
        ),
        (
            webhooks,
            "MutatingWebhookConfiguration",
            "admissionregistration.k8s.io/v1",
            "sidecars",
            {"webhooks": []},
        ),
    ):
        obj = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **body}
        stack.enter_context(created(api_server, path, obj))

    found = image_policies.collect(door)

    assert found.gaps == {}
    assert found.policies == (
        ImagePolicy("ClusterPolicy", "signed", "Kyverno"),
        ImagePolicy("ClusterImagePolicy", "all", "Sigstore policy controller"),
        ImagePolicy("MutatingWebhookConfiguration", "connaisseur-webhook", "Connaisseur"),
        ImagePolicy("ValidatingAdmissionPolicy", "registries", "Kubernetes", verifies=False),
    )
    assert "r.example.com" not in repr(found)


def test_the_sums_of_vulnerability_reports_come_without_the_reports(
    api_server: ApiServer,
    door: Kubernetes,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = [
        {"name": s.capitalize(), "type": "integer", "jsonPath": f".report.summary.{s}Count"}
        for s in SUMMARY
    ]
    path = define(
        api_server,
        stack,
        "aquasecurity.github.io",
        "v1alpha1",
        "VulnerabilityReport",
        "vulnerabilityreports",
        additionalPrinterColumns=[{**column, "priority": 1} for column in columns],
    )
    for number in range(5):
        summary = {f"{s}Count": number * (i + 1) for i, s in enumerate(SUMMARY)}
        report = {
            "apiVersion": "aquasecurity.github.io/v1alpha1",
            "kind": "VulnerabilityReport",
            "metadata": {"name": f"report-{number}"},
            "report": {"summary": summary, "vulnerabilities": [{"title": "x" * 100_000}]},
        }
        stack.enter_context(created(api_server, path, report))
    monkeypatch.setattr(vulnerabilities, "PAGE", 2)
    before = door.cost

    found = vulnerabilities.collect(door)

    assert (found.installed, found.reports, found.gaps) == (True, 5, {})
    assert tuple(getattr(found, s) for s in SUMMARY) == (10, 20, 30, 40, 50)
    assert door.cost.api_requests - before.api_requests == 4  # the groups, and three pages
    assert door.cost.api_bytes - before.api_bytes < 50_000


def test_failed_pulls_are_found_among_events_and_pending_pods(
    api_server: ApiServer, door: Kubernetes, stack: ExitStack
) -> None:
    namespace = {"metadata": {"name": "failed-pulls"}}
    stack.enter_context(created(api_server, "/api/v1/namespaces", namespace))
    home = "/api/v1/namespaces/failed-pulls"
    image = "r.example.com/web:1"
    event = {
        "metadata": {"name": "web.1"},
        "involvedObject": {"kind": "Pod", "namespace": "failed-pulls", "name": "web"},
        "reason": "Failed",
        "type": "Warning",
        "message": f'Failed to pull image "{image}": pull QPS exceeded',
        "source": {"component": "kubelet", "host": "node-1"},
        "count": 4,
        "lastTimestamp": "2026-11-21T10:00:00Z",
    }
    restarts = {
        **event,
        "metadata": {"name": "web.2"},
        "reason": "BackOff",
        "message": "Back-off restarting failed container web in pod web",
    }
    container = {"name": "web", "image": image}
    pod = {
        "metadata": {"name": "web"},
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": False,
            "nodeName": "node-1",
        },
    }
    stack.enter_context(created(api_server, f"{home}/events", event))
    stack.enter_context(created(api_server, f"{home}/events", restarts))
    stack.enter_context(created(api_server, f"{home}/pods", pod))
    stored = api_server.admin.get(f"{home}/pods/web")
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
    stored["status"] = {
        "phase": "Pending",
        "containerStatuses": [
            {
                **container,
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": waiting},
            }
        ],
    }
    api_server.admin.put_status(f"{home}/pods/web", stored)

    found = [f for f in pull_failures.collect(door).failures if f.namespace == "failed-pulls"]

    waits, failed = found
    assert (failed.cause, failed.image, failed.nodes) == ("over-qps", image, ("node-1",))
    assert (failed.count, failed.waiting, failed.last_at) == (4, 0, 1795255200.0)
    assert (waits.cause, waits.waiting, waits.workload) == ("", 1, "pod/failed-pulls/web")
