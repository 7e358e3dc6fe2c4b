"""What judging the DNS of 150,000 pods costs once their facts are read.

    python -m bench.dns [--rounds N]

Prints a Markdown table and says which target is met; exits 1 when one is not. Each round is a
process of its own: the resolver model remembers what it has worked out once.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from array import array
from datetime import UTC, datetime
from statistics import median

from k8sdiag import plugins
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import Container, DNSConfig, Pods, Profile, Workload, pack
from k8sdiag.judge import judge
from k8sdiag.model import Snapshot

PODS = 150_000
NODES = 5_000
NAMESPACES = 400
WORKLOADS = {"3,000 workloads": 3_000, "15,000 workloads": 15_000}
SECONDS = 3.0
FINDINGS = 300


def pods(workloads: int, rng: random.Random) -> Pods:
    """A few big workloads and a long tail; one in ten has a dnsConfig, some of them mistaken."""
    profiles = tuple(profile(i, rng) for i in range(workloads))
    weights = [(i + 1) ** -0.6 for i in range(workloads)]
    chosen = rng.choices(range(workloads), weights, k=PODS)
    return Pods(
        profiles=profiles,
        nodes=tuple(f"node-{i}" for i in range(NODES)),
        profile_column=pack(array("I", chosen)),
        node_column=pack(array("I", rng.choices(range(NODES), k=PODS))),
    )


def profile(number: int, rng: random.Random) -> Profile:
    config = None
    if rng.random() < 0.1:
        options = [("ndots", str(rng.randrange(1, 6))), ("attempts", str(rng.randrange(6)))]
        config = DNSConfig(
            nameservers=tuple(rng.sample(("8.8.8.8", "10.9.9.9", "10.9.9.10"), rng.randrange(3))),
            searches=tuple(f"d{i}-{number}.example" for i in range(rng.randrange(34))),
            options=tuple(options),
        )
    image = "alpine:3.20" if rng.random() < 0.3 else "app:1"
    return Profile(
        workload=Workload(f"namespace-{number % NAMESPACES}", "Deployment", f"service-{number}"),
        dns_config=config,
        host_network=rng.random() < 0.02,
        containers=(Container(image=f"registry.example.com/{image}"),),
    )


def once(workloads: int) -> dict[str, float]:
    """Seconds and findings of one judgement, with nothing remembered."""
    check = plugins.checks()["dns-search"]
    searches = ("eu-west-1.compute.internal",)
    facts = {
        "Pods": pods(workloads, random.Random(1)),
        "ClusterDNS": ClusterDNS(domain="cluster.local", servers=("10.96.0.10",)),
        "NodeResolvConf": NodeResolvConf(node="a", path="/etc/resolv.conf", searches=searches),
    }
    snapshot = Snapshot(cluster="bench", taken_at=datetime.now(UTC), facts=facts)
    begin = time.perf_counter()
    (outcome,) = judge([check], snapshot).outcomes
    seconds = time.perf_counter() - begin
    assert outcome.findings
    assert outcome.metrics
    counted = sum(m.value for m in outcome.metrics if m.name == "dns_pods")
    assert counted == PODS, f"{counted} pods were judged"
    return {"seconds": seconds, "findings": float(len(outcome.findings))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.once)))
        return 0
    print("| 150,000 pods of | judged in s, median | findings | targets | |\n|---|---|---|---|---|")
    missed = False
    for name, workloads in WORKLOADS.items():
        command = [sys.executable, "-m", "bench.dns", "--once", str(workloads)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(options.rounds)]
        seconds = median(run["seconds"] for run in runs)
        findings = runs[0]["findings"]
        met = seconds <= SECONDS and findings <= FINDINGS
        missed |= not met
        targets = f"<= {SECONDS:g} s, <= {FINDINGS} | {'met' if met else 'MISSED'}"
        print(f"| {name} | {seconds:.2f} | {findings:.0f} | {targets} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
