"""The command line from end to end, against a real API server, a real etcd and a real kubelet."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.real import population
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.kubelet import Kubelet
from tests.real.pki import Authority

NODES, PODS = 12, 300
CLUSTER_CHECKS = {"etcd-quota", "dns-search", "image-pull"}


def k8sdiag(*args: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "k8sdiag", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def audited(*args: str | Path) -> tuple[int, dict[str, Any]]:
    """The exit code, and what each check said, by its id."""
    done = k8sdiag("audit", *args, "-o", "json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, {o["check"]: o for o in report["outcomes"]} | {"cost": report["cost"]}


@pytest.fixture(scope="module")
def cluster(api_server: ApiServer) -> Iterator[ApiServer]:
    """The API server with some nodes and pods, taken away afterwards."""
    nodes = population.nodes(NODES)
    pods = list(population.pods([n["metadata"]["name"] for n in nodes], PODS))
    population.hold_images(nodes, pods)
    admin = api_server.admin
    for name in population.NAMESPACES:
        admin.raw("POST", "/api/v1/namespaces", {"metadata": {"name": name}})  # or it is there
    for node in nodes:
        admin.create("/api/v1/nodes", node)
    for pod in pods:
        collection = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
        made = admin.create(collection, pod)
        admin.put_status(
            f"{collection}/{pod['metadata']['name']}", made | {"status": pod["status"]}
        )
    yield api_server
    for name in ("kube-system", *population.NAMESPACES):
        admin.delete(f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0")
    admin.delete("/api/v1/nodes")
    for name in population.NAMESPACES:
        # No controller runs that would end it: finalized by hand.
        path = f"/api/v1/namespaces/{name}"
        ended = admin.delete(path)
        ended["spec"] = {"finalizers": []}
        admin.request("PUT", f"{path}/finalize", ended)


def etcd(server: ApiServer) -> Sequence[str | Path]:
    store = server.etcd
    files = {"--etcd-cacert": store.ca, "--etcd-cert": store.cert, "--etcd-key": store.key}
    named = [part for name, file in files.items() if file for part in (name, file)]
    return ("--etcd-endpoints", ",".join(store.endpoints), *named)


def test_every_failure_is_judged(cluster: ApiServer) -> None:
    kubeconfig = cluster.kubeconfig("admin", [ADMINS])
    code, said = audited("--kubeconfig", kubeconfig, "--context", "test", *etcd(cluster))

    assert {said[c]["status"] for c in (*CLUSTER_CHECKS, "neighbor-table")} <= {
        "ok",
        "findings",
        "partial",
    }
    assert said["etcd-quota"]["status"] == "ok"
    assert code in (1, 3)  # the kubelets' settings were not asked for
    assert said["cost"]["apiRequests"] > 5
    assert said["cost"]["apiBytes"] > NODES * 1000


def test_the_cost_is_printed(cluster: ApiServer) -> None:
    done = k8sdiag("audit", "--kubeconfig", cluster.kubeconfig("admin", [ADMINS]))

    assert "requests," in done.stdout.strip().splitlines()[-1]


def test_who_may_list_nothing_is_told_what_to_grant(cluster: ApiServer) -> None:
    code, said = audited("--kubeconfig", cluster.kubeconfig("nobody"), "--skip", "neighbor-table")

    for check in CLUSTER_CHECKS - {"etcd-quota"}:
        assert said[check]["status"] == "skipped"
        assert (
            '"list" on "nodes"' in said[check]["reason"]
            or '"list" on "pods"' in said[check]["reason"]
        )
    assert said["etcd-quota"]["status"] == "skipped"
    assert '"get" on "/metrics"' in said["etcd-quota"]["reason"]
    assert code == 3


def test_the_printed_role_is_enough(cluster: ApiServer) -> None:
    import yaml

    admin = cluster.admin
    group = "/apis/rbac.authorization.k8s.io/v1"
    made = []
    for document in yaml.safe_load_all(k8sdiag("rbac").stdout):
        place = document["metadata"].get("namespace")
        collection = f"{group}{f'/namespaces/{place}' if place else ''}/{document['kind'].lower()}s"
        admin.create(collection, document)
        made.append(f"{collection}/{document['metadata']['name']}")
    try:
        account = cluster.kubeconfig("system:serviceaccount:k8sdiag:k8sdiag")
        _, said = audited("--kubeconfig", account)
    finally:
        for path in made:
            admin.delete(path)

    assert "may not" not in json.dumps(said)
    assert said["dns-search"]["status"] != "skipped"


def test_a_snapshot_is_judged_as_the_live_cluster_and_holds_no_secret(
    cluster: ApiServer, tmp_path: Path
) -> None:
    where = ("--kubeconfig", cluster.kubeconfig("admin", [ADMINS]), *etcd(cluster))
    file = tmp_path / "s.json.gz"
    taken = k8sdiag("snapshot", file, *where)
    _, live = audited(*where)
    _, kept = audited(file)

    assert taken.returncode == 0, taken.stderr
    text = gzip.decompress(file.read_bytes()).decode()
    for secret in (
        population.ENVIRONMENT_VALUE,
        population.ANNOTATION_VALUE,
        "PRIVATE KEY",
        "DATABASE_PASSWORD",
    ):
        assert secret not in text
    assert live.keys() == kept.keys()
    # What is judged by a window or by this host's counters moves on from one look to the next.
    still = ("dns-capacity", "cluster-addresses", "image-hygiene", "registry-limits", "image-disk")
    for check in (*CLUSTER_CHECKS, *still):
        same = ("status", "reason", "findings")
        assert {k: live[check][k] for k in same} == {k: kept[check][k] for k in same}


def test_a_quick_look_reads_less_and_says_what_it_did_not_see(cluster: ApiServer) -> None:
    where = ("--kubeconfig", cluster.kubeconfig("admin", [ADMINS]), "--check", "dns-search")
    _, full = audited(*where)
    code, quick = audited(*where, "--quick")

    assert quick["cost"]["apiBytes"] < full["cost"]["apiBytes"] / 2
    assert quick["dns-search"]["reason"]
    assert code in (1, 3)


def test_a_real_kubelets_settings_are_read_only_when_asked_for(
    api_server: ApiServer, start_kubelet: Callable[..., Kubelet], tmp_path: Path
) -> None:
    kubelet = start_kubelet({"serializeImagePulls": False, "maxParallelImagePulls": 4})
    where = ("--kubeconfig", api_server.kubeconfig("admin", [ADMINS]))
    for name, asked in (("off", False), ("proxy", True)):
        file = tmp_path / name
        k8sdiag("snapshot", file, *where, f"--kubelet-configz={name}")
        facts = json.loads(gzip.decompress(file.read_bytes()))["facts"]

        assert ("KubeletConfigs" in facts) is asked
    (read,) = [k for k in facts["KubeletConfigs"]["kubelets"] if k["node"] == kubelet.node]
    assert read["settings"]["max_parallel_image_pulls"] == 4


@pytest.mark.parametrize(
    ("case", "says"),
    [
        pytest.param("wrong ca", "CA", id="the CA of another cluster"),
        pytest.param("expired", "expired", id="a certificate that is no longer valid"),
        pytest.param("unreachable", "refused", id="nobody listens"),
    ],
)
def test_a_door_that_stays_shut_is_one_clear_line(
    api_server: ApiServer, tmp_path: Path, case: str, says: str
) -> None:
    from datetime import timedelta

    if case == "wrong ca":
        other = Authority(tmp_path / "pki", "another-ca")
        path = api_server.kubeconfig("admin", [ADMINS], ca=other.ca)
    elif case == "expired":
        pair = api_server.authority.issue(
            "late", organizations=[ADMINS], hosts=(), lifetime=timedelta(days=-1)
        )
        path = api_server.kubeconfig("late", [ADMINS], pair=pair)
    else:
        path = api_server.kubeconfig("admin", [ADMINS], server="https://127.0.0.1:1")
    code, said = audited("--kubeconfig", path, "--check", "dns-search")

    assert code == 3
    assert said["dns-search"]["status"] == "skipped"
    assert says in said["dns-search"]["reason"]
    assert "\n" not in said["dns-search"]["reason"]
