"""What a node pulls when it starts: in which order, and what a kept disk spares it."""

from msgspec.structs import replace

from k8sdiag.coldstart import ColdStart, Image, Rates
from k8sdiag.facts.kubelet import KubeletConfigs
from k8sdiag.facts.nodes import Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload
from k8sdiag.model import Missing
from k8sdiag.pulls.kubelets import Known
from k8sdiag.pulls.nodeimages import Demand, demands, only, pulling_pods
from tests.checks.pulling import (
    NO_KUBELET,
    NODE,
    NOT_READ,
    SERIAL,
    nodes,
    pods,
    profile,
    told,
)


def demand(of: Nodes, running: Pods, kubelets: KubeletConfigs | Missing = NOT_READ) -> Demand:
    known = Known(of, kubelets, NO_KUBELET)
    (found,) = demands(of, running, Rates(), known.max_images)
    return found


def gigabytes(start: ColdStart) -> list[list[float]]:
    """Of each pod, in the order of its pulls."""
    return [[start.images[i].compressed_bytes / 1e9 for i in pod] for pod in start.pods]


def test_a_pod_pulls_mounted_images_first_then_those_of_init_containers() -> None:
    mixed = Profile(
        workload=Workload("shop", "Deployment", "web"),
        containers=(
            Container("r.io/1:v1", "IfNotPresent"),
            Container("r.io/2:v1", "IfNotPresent", init=True),
            Container("r.io/1:v1", "IfNotPresent"),
        ),
        image_volumes=(Container("r.io/3:v1", "IfNotPresent"),),
    )

    assert gigabytes(demand(nodes(0.5, 1, 2, 3), pods(mixed)).cold) == [[3, 2, 1]]


def test_static_pods_come_first_then_the_older_ones() -> None:
    running = pods(profile(1), profile(2, kind="StaticPod"), profile(3, kind="DaemonSet"))
    found = demand(nodes(0, 1, 2, 3), running)

    assert gigabytes(found.cold) == [[2], [1], [3]]
    assert found.daemons == (True, False, True)


def test_the_start_of_some_pods_does_not_depend_on_the_others() -> None:
    one, two = (
        Image(compressed_bytes=1, uncompressed_bytes=2),
        Image(compressed_bytes=3, uncompressed_bytes=6),
    )
    here = ColdStart(images=(one, two), pods=((0,), (1,)))
    there = ColdStart(images=(two,), pods=((0,),))

    assert only(here, (False, True)) == there == only(there, (True,))


def test_a_restart_asks_for_what_is_always_pulled() -> None:
    running = pods(profile(0), profile(1, policy="Always"), profile(2, 1, policy="Always"))

    warm = demand(nodes(1, 1, 1), running).warm

    assert gigabytes(warm) == [[0], [0, 0]]


def test_a_restart_pulls_again_what_was_deleted_since() -> None:
    """An image of an init container that has ended is unused, and the kubelet deletes it."""
    other = replace(NODE, name="n2")
    of = nodes(1, 2, 3, of=[replace(NODE, images=(0, 1)), other])

    assert gigabytes(demand(of, pods(profile(2, 0))).warm) == [[3]]


def test_a_full_list_tells_of_no_deletion() -> None:
    held = tuple(range(50))
    of = nodes(*[1] * 51, of=[replace(NODE, images=held), replace(NODE, name="n2")])
    running = pods(profile(50))
    all_listed = told(replace(SERIAL, node_status_max_images=-1))

    assert gigabytes(demand(of, running).warm) == []
    assert gigabytes(demand(of, running, all_listed).warm) == [[1]]


def test_what_a_full_list_leaves_out_is_smaller_than_the_rest() -> None:
    of = nodes(*[0.5] * 50)
    running = pods(profile("elsewhere"))
    all_listed = told(replace(SERIAL, node_status_max_images=-1))

    assert demand(of, running).unsized_at_most_bytes == 0.5e9
    assert demand(of, running, all_listed).unsized_at_most_bytes == float("inf")


def test_pods_that_pull_are_counted_by_node() -> None:
    ended = profile(0, phase="Succeeded")
    never = profile(0, policy="Never")

    assert pulling_pods(pods(profile(0), profile(1), ended, never, on=["n1", "n2"])) == {
        "n1": 2,
        "n2": 2,
    }
