"""The manifests on a real API server: it would create each, and lets the pods in as restricted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.real.apiserver import ApiServer

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
MANIFESTS = {
    (found["kind"], found["metadata"]["name"], found["metadata"].get("namespace", "")): found
    for file in sorted(FOLDER.glob("*.yml"))
    for found in yaml.safe_load_all(file.read_text())
    if found["kind"] != "Namespace"
}
PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
STRICT = "?dryRun=All&fieldValidation=Strict"


def collection(manifest: dict[str, Any]) -> str:
    group = manifest["apiVersion"]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    namespace = manifest["metadata"].get("namespace")
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{place}/{PLURALS[manifest['kind']]}"


@pytest.fixture(scope="module")
def namespace(api_server: ApiServer) -> Iterator[None]:
    found = yaml.safe_load((FOLDER / "00-namespace.yml").read_text())
    api_server.admin.create("/api/v1/namespaces", found)
    yield
    api_server.admin.delete("/api/v1/namespaces/k8sdiag")


@pytest.mark.parametrize("key", MANIFESTS, ids="/".join)
@pytest.mark.usefixtures("namespace")
def test_it_would_be_created(key: tuple[str, str, str], api_server: ApiServer) -> None:
    """Every field is known and right; nothing is created."""
    manifest = MANIFESTS[key]

    made = api_server.admin.create(collection(manifest) + STRICT, manifest)

    assert made["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.parametrize("name", ["k8sdiag-node", "k8sdiag-cluster"])
@pytest.mark.usefixtures("namespace")
def test_its_pods_keep_the_strictest_pod_security_standard(
    name: str, api_server: ApiServer
) -> None:
    (template,) = (m["spec"]["template"] for key, m in MANIFESTS.items() if key[1] == name)
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "one"}
    pods = f"/api/v1/namespaces/k8sdiag/pods{STRICT}"

    assert api_server.admin.create(pods, pod)["metadata"]["name"] == "one"

    pod["spec"] = {**template["spec"], "hostNetwork": True}
    status, reply = api_server.admin.raw("POST", pods, pod)
    assert (status, b"violates PodSecurity" in reply) == (403, True)
