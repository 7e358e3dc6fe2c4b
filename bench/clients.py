"""The programs whose reading is measured, each as a whole process.

    python -m bench.clients ours|typed KUBECONFIG

Each prints what it saw as JSON.
"""

import json
import sys
from pathlib import Path


def ours(kubeconfig: Path) -> dict[str, object]:
    from k8sdiag.readers.kubernetes import Kubernetes
    from k8sdiag.sources import nodes, pods

    door = Kubernetes.open(kubeconfig)
    found = nodes.collect(door)
    fact = pods.collect(door)
    workloads: dict[str, int] = {}
    for profile, count in fact.counts().items():
        subject = fact.profiles[profile].workload.subject
        workloads[subject] = workloads.get(subject, 0) + count
    return {
        "nodes": len(found.nodes),
        "workloads": dict(sorted(workloads.items())),
        "gaps": {**found.gaps, **fact.gaps},
        "requests": door.cost.api_requests,
        "bytes": door.cost.api_bytes,
    }


def typed(kubeconfig: Path) -> dict[str, object]:
    from kubernetes import client, config

    config.load_kube_config(str(kubeconfig))
    api = client.CoreV1Api()
    pods = 0
    after = None
    while after is None or after:
        page = api.list_pod_for_all_namespaces(limit=1000, _continue=after)
        pods += len(page.items)
        assert page.metadata
        after = page.metadata._continue or ""
    return {"pods": pods}


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "typed": typed}[sys.argv[1]](Path(sys.argv[2]))))
