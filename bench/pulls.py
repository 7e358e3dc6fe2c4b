"""What forecasting the image pulls of 5,000 nodes costs: no two of them alike.

    python -m bench.pulls [--rounds N]

Prints a Markdown table and says whether the target is met; exits 1 when it is not.
"""

import argparse
import math
import random
import sys
import time
from array import array
from statistics import median

from k8sdiag.checks._image_pull_limits import ImagePull
from k8sdiag.checks.image_pull import check
from k8sdiag.coldstart import ColdStart, Image, Puller, Rates
from k8sdiag.facts.kubelet import Kubelet as Asked
from k8sdiag.facts.kubelet import KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Image as Held
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload, pack
from k8sdiag.facts.pulls import ImagePulls
from k8sdiag.model import Missing
from k8sdiag.pulls.simulation import simulate

NODES = 5_000
PODS_PER_NODE = 30
IMAGES = 3_000
TARGET_SECONDS = 2.0  # for the simulation of 5,000 nodes


def starts(rng: random.Random) -> list[ColdStart]:
    """Nodes with 30 pods each, a third of them of two images."""
    images = []
    for _ in range(IMAGES):
        size = min(2e10, rng.lognormvariate(math.log(1.5e8), 1))
        images.append(Image(compressed_bytes=size, uncompressed_bytes=2.7 * size))
    found = []
    for _ in range(NODES):
        chosen = rng.sample(images, PODS_PER_NODE)
        pods = tuple(
            (i,) if rng.random() < 2 / 3 else (i, rng.randrange(PODS_PER_NODE))
            for i in range(PODS_PER_NODE)
        )
        found.append(ColdStart(images=tuple(chosen), pods=pods))
    return found


def cluster(rng: random.Random) -> tuple[Nodes, Pods, KubeletConfigs]:
    """The same as facts, in 12 pools whose kubelets are known."""
    held = tuple(
        Held(names=(f"r.example/{i}:v1",), size_bytes=int(rng.lognormvariate(math.log(1.5e8), 1)))
        for i in range(IMAGES)
    )
    profiles = tuple(
        Profile(
            workload=Workload("shop", "Deployment", f"web-{i}"),
            containers=(Container(f"r.example/{i}:v1", "IfNotPresent"),),
        )
        for i in range(IMAGES)
    )
    nodes, profile_of, node_of, created = [], array("I"), array("I"), array("I")
    for number in range(NODES):
        here = rng.sample(range(IMAGES), PODS_PER_NODE)
        nodes.append(
            Node(
                name=f"node-{number}",
                pool=f"pool-{number % 12}",
                kubelet="v1.36.3",
                runtime="containerd://2.1.4",
                cpus=16,
                images=tuple(here),
            )
        )
        profile_of.extend(here)
        node_of.extend([number] * len(here))
        created.extend(rng.randrange(2**31) for _ in here)
    parallel = KubeletSettings(
        serialize_image_pulls=False,
        max_parallel_image_pulls=5,
        registry_pull_qps=5,
        registry_burst=10,
    )
    return (
        Nodes(nodes=tuple(nodes), images=held),
        Pods(
            profiles=profiles,
            nodes=tuple(n.name for n in nodes),
            profile_column=pack(profile_of),
            node_column=pack(node_of),
            created_column=pack(created),
        ),
        KubeletConfigs(
            kubelets=tuple(
                Asked(node=n.name, pool=n.pool, version=n.kubelet, settings=parallel)
                for n in nodes[:12]
            )
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    fleet = starts(random.Random(1))
    print(f"| {NODES:,} nodes, no two alike, median | CPU s |\n|---|---|")
    worst = 0.0
    for name, slots in (("one image at a time", 1.0), ("five", 5.0), ("any number", math.inf)):
        puller = Puller(slots=slots, streams_per_node=True, cpus=16, qps=5.0, burst=10)
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            for start in fleet:
                simulate(start, puller, Rates())
            times.append(time.process_time() - begin)
        worst = max(worst, median(times))
        print(f"| simulated: {name} | {median(times):.2f} |")
    nodes, pods, kubelets = cluster(random.Random(2))
    begin = time.process_time()
    absent = Missing(reason="not part of it", asked=False)
    said = list(
        check(nodes, pods, kubelets, absent, absent, ImagePulls(pulls=()), absent, ImagePull())
    )
    print(f"| the whole check, {len(said)} things said | {time.process_time() - begin:.2f} |")
    met = worst <= TARGET_SECONDS
    print(f"\nsimulated: {worst:.2f} s, target {TARGET_SECONDS:g} s: {'met' if met else 'MISSED'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
