"""Which pods' logs are asked for, and what is said when they can't be had."""

from pathlib import Path

import msgspec
import pytest

from k8sdiag.model import Unavailable
from k8sdiag.sources import control_plane_logs
from k8sdiag.sources.control_plane_logs import collect
from tests.scripted_api import Answer, listed, opened, refused

TEXT = {"Content-Type": "text/plain"}
NONE = Answer(listed())


def pod(name: str, *containers: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": c} for c in containers]}}


def log(*lines: str) -> Answer:
    return Answer(
        "".join(f"2026-03-01T12:00:00Z {line}\n" for line in lines).encode(), headers=TEXT
    )


KUBEADM = Answer(listed(pod("etcd-a", "etcd"), pod("kube-apiserver-a", "kube-apiserver", "audit")))
SLOW = '{"msg":"slow fdatasync"}'


def test_the_logs_of_a_kubeadm_control_plane(tmp_path: Path) -> None:
    secret = "token=abc.def of etcdserver: mvcc: database space exceeded"
    with opened(tmp_path, KUBEADM, NONE, log(SLOW, "x"), log(secret)) as reader:
        fact = collect(reader)

    assert [(entry.pod, entry.component, entry.lines) for entry in fact.logs] == [
        ("kube-system/etcd-a", "etcd", 2),
        ("kube-system/kube-apiserver-a", "kube-apiserver", 1),
    ]
    assert [m.name for entry in fact.logs for m in entry.matches] == ["slow-disk", "nospace"]
    assert fact.gaps == {}
    assert b"token" not in msgspec.json.encode(fact)


def test_openshift_is_looked_for_when_kube_system_has_none(tmp_path: Path) -> None:
    etcd = Answer(listed(pod("etcd-a", "etcd", "etcd-metrics")))
    with opened(tmp_path, NONE, NONE, etcd, NONE, log(SLOW)) as reader:
        fact = collect(reader)

    assert [entry.pod for entry in fact.logs] == ["openshift-etcd/etcd-a"]
    assert fact.gaps == {}


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        pytest.param([NONE] * 4, "it runs elsewhere, as managed control planes do", id="managed"),
        pytest.param(
            [refused(403, "no")] * 4, 'grant "list" on "pods" in kube-system', id="no right"
        ),
        pytest.param(
            [KUBEADM, NONE, refused(403, "no"), refused(403, "no")],
            'grant "get" on "pods/log" in kube-system',
            id="no right to logs",
        ),
    ],
)
def test_what_can_not_be_seen_is_said(tmp_path: Path, answers: list[Answer], says: str) -> None:
    with opened(tmp_path, *answers) as reader, pytest.raises(Unavailable, match=says):
        collect(reader)


def test_a_pod_whose_kubelet_is_gone_is_a_gap(tmp_path: Path) -> None:
    gone = refused(500, 'Get "https://10.0.0.1:10250/containerLogs": dial tcp: connection refused')
    with opened(tmp_path, KUBEADM, NONE, gone, gone, log()) as reader:
        fact = collect(reader)

    assert list(fact.gaps) == ["kube-system/etcd-a"]
    assert "connection refused" in fact.gaps["kube-system/etcd-a"]
    assert [entry.component for entry in fact.logs] == ["kube-apiserver"]


def test_a_log_that_was_cut_at_its_newest_end_is_a_gap(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_plane_logs, "BYTES", 60)
    with opened(tmp_path, KUBEADM, NONE, log(SLOW, SLOW), log("x")) as reader:
        fact = collect(reader)

    assert list(fact.gaps) == ["kube-system/etcd-a"]
    assert "newest lines were not read" in fact.gaps["kube-system/etcd-a"]
