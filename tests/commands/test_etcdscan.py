"""Counting in etcd itself: where keys lie, who is asked, and how gently."""

import pytest

from k8sdiag.commands.etcdscan import follower, paced, prefixes
from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.model import Unavailable


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pods", ("/registry/pods/",)),
        ("nodes", ("/registry/minions/",)),
        ("services", ("/registry/services/specs/",)),
        ("endpoints", ("/registry/services/endpoints/",)),
        ("replicationcontrollers", ("/registry/controllers/",)),
        ("deployments.apps", ("/registry/deployments/",)),
        ("ingresses.extensions", ("/registry/ingress/",)),
        (
            "ingresses.networking.k8s.io",
            ("/registry/ingress/", "/registry/networking.k8s.io/ingresses/"),
        ),
        (
            "leases.coordination.k8s.io",
            ("/registry/leases/", "/registry/coordination.k8s.io/leases/"),
        ),
        ("things.acme.example.com", ("/registry/acme.example.com/things/",)),
    ],
)
def test_where_the_keys_of_a_resource_lie(name: str, expected: tuple[str, ...]) -> None:
    assert prefixes(name, "/registry") == expected


def member(name: str, **given: bool) -> EtcdMember:
    return EtcdMember(
        id=name,
        name=name,
        endpoint=f"http://{name}",
        db_bytes=1,
        in_use_bytes=1,
        quota_bytes=1,
        quota_source="",
        **given,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("members", "chosen"),
    [
        pytest.param([member("a")], "a", id="one"),
        pytest.param([member("a", leading=True), member("b"), member("c")], "b", id="a follower"),
        pytest.param([member("a", leading=True)], "a", id="the leader where it is alone"),
        pytest.param([member("a", learner=True), member("b")], "b", id="no learner"),
    ],
)
def test_who_is_asked(members: list[EtcdMember], chosen: str) -> None:
    assert follower(members).name == chosen


@pytest.mark.parametrize(
    ("members", "says"),
    [
        pytest.param([member("a"), member("b", defragmenting=True)], "defragmented", id="defrag"),
        pytest.param([member("a", has_leader=False)], "without a leader", id="no leader"),
    ],
)
def test_an_etcd_in_trouble_is_left_alone(members: list[EtcdMember], says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        follower(members)


class Etcd:
    """Counts as told; each takes as long as told, on a clock of its own."""

    def __init__(self, counts: dict[str, int], seconds: dict[str, float] | None = None) -> None:
        self.counts, self.seconds = counts, seconds or {}
        self.now = 0.0
        self.asked: list[str] = []
        self.rests: list[float] = []

    def count(self, prefix: str) -> int:
        self.asked.append(prefix)
        self.now += self.seconds.get(prefix, 0.001)
        return self.counts.get(prefix, 0)

    def scan(self, *names: str) -> tuple[dict[str, int | None], str]:
        found, stopped = paced(self.count, names, lambda: self.now, self.rests.append)
        return {r.name: r.objects for r in found}, stopped


def test_it_rests_ten_times_as_long_as_it_asked() -> None:
    etcd = Etcd({"/registry/namespaces/": 4}, {"/registry/pods/": 0.1})

    assert etcd.scan("nodes", "pods") == ({"nodes": 0, "pods": 0}, "")
    assert etcd.rests == pytest.approx([0.02, 0.02, 1.0])


def test_it_stops_when_etcd_is_slow_and_keeps_what_it_has() -> None:
    etcd = Etcd({"/registry/namespaces/": 4, "/registry/minions/": 9}, {"/registry/pods/": 0.3})

    found, stopped = etcd.scan("nodes", "pods", "secrets")

    assert found == {"nodes": 9}
    assert stopped == "counting /registry/pods/ took 300 ms: stopped, to spare etcd"
    assert "/registry/secrets/" not in etcd.asked


def test_another_root_is_found() -> None:
    etcd = Etcd({"/kubernetes.io/namespaces/": 4, "/kubernetes.io/pods/": 7})

    assert etcd.scan("pods") == ({"pods": 7}, "")


def test_what_two_groups_share_is_counted_once() -> None:
    etcd = Etcd({"/registry/namespaces/": 4, "/registry/events/": 50})

    found, _ = etcd.scan("events", "events.events.k8s.io")

    assert found == {"events": 50, "events.events.k8s.io": 0}
    assert etcd.asked.count("/registry/events/") == 1


def test_keys_of_another_cluster() -> None:
    with pytest.raises(Unavailable, match="another cluster's"):
        Etcd({}).scan("pods")
