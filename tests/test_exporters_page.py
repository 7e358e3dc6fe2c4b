"""docs/exporters.md lists what the exporters serve, and the manifests are what it says."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from k8sdiag import plugins, run, scrape
from k8sdiag.cli import cli
from k8sdiag.exposition import Family
from k8sdiag.families import families
from k8sdiag.judge import judge
from k8sdiag.readers.host import Host
from k8sdiag.refresh import MOST_SERIES, MOST_USAGES, Refresh
from tests.test_rules import RULES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "exporters.md").read_text()
APPLIED = [  # by `kubectl apply -f deploy/kubernetes/`, in this order
    found
    for file in sorted((ROOT / "deploy" / "kubernetes").iterdir())
    for found in yaml.safe_load_all(file.read_text())
]
MANIFESTS = {(found["kind"], found["metadata"]["name"]): found for found in APPLIED}
WORKLOADS = {
    "node": MANIFESTS["DaemonSet", "k8sdiag-node"],
    "cluster": MANIFESTS["Deployment", "k8sdiag-cluster"],
}


def rows(found: Iterable[Family]) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels by the name of a family."""
    return {
        f.name + "_total" * (f.type == "counter"): (
            f.type,
            frozenset(label for s in f.samples for label in s.labels),
        )
        for f in found
    }


@pytest.fixture(scope="module")
def served() -> dict[str, dict[str, tuple[str, frozenset[str]]]]:
    report = judge(plugins.checks().values(), run.load_demo())
    refresh = Refresh(lambda: report, 1, None)  # type: ignore[arg-type]
    refresh._take(report)
    checks = run.of_this_host(plugins.checks(), scraped=True)
    tree = ROOT / "tests" / "testdata" / "neighbor" / "near" / "proc"
    host = Host(procfs=tree, look_seconds=0)
    return {
        "node": rows(scrape.node(checks.values(), host)(10)),
        "cluster": rows(refresh.scrape(10)),
        "one-shot": rows(families(report)),
    }


def test_the_table_of_metrics_is_what_is_served(
    served: dict[str, dict[str, tuple[str, frozenset[str]]]],
) -> None:
    table = re.findall(r"^\| `(k8sdiag_\w+)` \| (\w+) \| ([^|]*)\| (\w+) \|$", PAGE, re.MULTILINE)
    listed = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in table
    }
    where = {name: exporter for name, _, _, exporter in table}
    pages = "\n".join(p.read_text() for p in (ROOT / "docs" / "checks").glob("*.md"))

    for exporter in ("node", "cluster"):
        for name, (kind, labels) in served[exporter].items():
            if name in listed:
                assert where[name] in (exporter, "both")
                assert listed[name][0] == kind
                # Nothing is left out of the demo, so that one has no labels there.
                assert labels <= listed[name][1], name
            else:
                assert documented(name, pages), f"{name} is on no page"
    everything = served["node"].keys() | served["cluster"].keys()
    assert listed.keys() <= everything


def documented(name: str, pages: str) -> bool:
    """A check's page may write k8sdiag_x_a and `_b` or list names with braces around labels."""
    return re.search(rf"\b{name}\b", pages) is not None


def test_the_numbers_of_the_page() -> None:
    words = " ".join(PAGE.split())

    assert f"Of each limit the {MOST_USAGES} subjects nearest to it are shown" in words
    assert f"of each metric {MOST_SERIES} series" in words


def test_the_alerts_of_the_page_are_those_of_the_rules() -> None:
    table = re.findall(r"^\| `(K8sdiag\w+)` \| (\w+) \|", PAGE, re.MULTILINE)

    assert dict(table) == {r["alert"]: r["labels"]["severity"] for r in RULES}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_has_no_right_that_it_does_not_need(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & pod.keys()
    assert {"requests", "limits"} == container["resources"].keys()
    assert "cpu" not in container["resources"]["limits"]


def test_the_node_exporter_has_no_token() -> None:
    assert WORKLOADS["node"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_arguments_of_a_container_are_options_that_exist(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    container: dict[str, Any] = pod["containers"][0]
    group, command, *options = container["args"]
    assert (group, command) == ("serve", name)
    serve = cli.commands["serve"]
    assert isinstance(serve, click.Group)

    given = serve.commands[name].make_context(command, list(options)).params

    (port,) = container["ports"]
    assert given["listen"] == (f":{port['containerPort']}",)
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


def test_the_roles_are_what_rbac_prints() -> None:
    written = (ROOT / "deploy" / "kubernetes" / "rbac.yml").read_text()

    printed = CliRunner().invoke(cli, ["rbac"], standalone_mode=False).output

    assert printed == written, "run: k8sdiag rbac > deploy/kubernetes/rbac.yml"


def test_the_bindings_are_for_the_account_that_the_cluster_exporter_has() -> None:
    account = MANIFESTS["ServiceAccount", "k8sdiag"]["metadata"]
    subject = MANIFESTS["ClusterRoleBinding", "k8sdiag"]["subjects"][0]
    pod = WORKLOADS["cluster"]["spec"]["template"]["spec"]

    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert pod["serviceAccountName"] == account["name"]


def test_the_pod_monitor_finds_both() -> None:
    file = ROOT / "deploy" / "prometheus" / "podmonitor.yml"
    monitor = yaml.safe_load(file.read_text())["spec"]
    wanted = monitor["selector"]["matchLabels"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    for workload in WORKLOADS.values():
        template = workload["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == labels
        assert wanted.items() <= labels.items()
        assert template["spec"]["containers"][0]["ports"][0]["name"] == endpoint["port"]


def test_a_fresh_cluster_takes_the_manifests_in_their_order() -> None:
    """It knows no kind of an operator's, and has no namespace that was not made before."""
    there = {"", "kube-system"}
    for manifest in APPLIED:
        group = manifest["apiVersion"].rpartition("/")[0]
        assert group in ("", "apps") or group.endswith(".k8s.io"), manifest["kind"]
        assert manifest["metadata"].get("namespace", "") in there, manifest["metadata"]
        if manifest["kind"] == "Namespace":
            there.add(manifest["metadata"]["name"])
