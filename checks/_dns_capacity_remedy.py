"""Manifests and commands that change the cluster's DNS servers."""

import json
import math
import re
import shlex
from typing import Any

from k8sdiag.checks._dns_capacity_limits import DnsCapacity
from k8sdiag.facts.coredns import CoreDNS
from k8sdiag.model import Remedy

ADDON = "https://raw.githubusercontent.com/kubernetes/kubernetes/{version}/cluster/addons/dns"
MANAGED = "; where the provider manages them as an add-on, set it there, or it is undone"
LOCAL_ADDRESS = "169.254.20.10"  # what NodeLocal DNSCache listens on unless told otherwise


def target(dns: CoreDNS) -> str:
    """What kubectl calls the workload; "" if there is none."""
    return f"{dns.workload.kind.lower()}/{dns.workload.name}" if dns.workload else ""


def labels(dns: CoreDNS) -> str:
    """What selects its pods, as one word for kubectl."""
    return shlex.quote(",".join(f"{name}={value}" for name, value in sorted(dns.selector.items())))


def scale(dns: CoreDNS, replicas: int, nodes: int, limits: DnsCapacity) -> Remedy:
    """More replicas now, and an autoscaler that keeps up with the cluster."""
    own = dns.autoscaler
    if own and (own.cores_to_replicas or own.nodes_to_replicas):
        # It takes one mode alone: a second key beside "ladder" would stop it.
        steps = [step for step in own.nodes_to_replicas if step[0] < nodes]
        steps += [(nodes, replicas), (2 * nodes, 2 * replicas)]
        ladder = {"coresToReplicas": own.cores_to_replicas, "nodesToReplicas": steps}
        data = {"ladder": json.dumps(ladder)}
    else:
        linear = {
            "coresPerReplica": limits.cores_per_replica,
            "nodesPerReplica": limits.nodes_per_replica,
            "min": 2,
            "preventSinglePointFailure": True,
            "includeUnschedulableNodes": True,
        }
        data = {"linear": json.dumps(linear)}
    commands: tuple[str, ...] = ()
    if own:
        where = own.config_map
        summary = (
            f"give the autoscaler the parameters of the manifest: {replicas} replicas now, and "
            "more with more nodes"
        )
    else:
        where = f"{dns.namespace}/kube-dns-autoscaler"
        summary = (
            f"run {replicas} replicas, and Kubernetes' dns-horizontal-autoscaler addon with the "
            "parameters of the manifest, so that they follow the cluster (EKS: autoScaling of the "
            "coredns add-on)"
        )
        if dns.workload and dns.workload.kind == "Deployment":
            words = ("kubectl", "-n", dns.namespace, "scale", target(dns), f"--replicas={replicas}")
            commands = (shlex.join(words),)
    namespace, _, name = where.partition("/")
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }
    return Remedy(summary=summary, commands=commands, manifest=_yaml(config_map))


def spread(dns: CoreDNS) -> Remedy:
    """Apart from each other, zones before nodes, wherever the scheduler can."""
    constraints = [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dns.selector},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]
    body = {"spec": {"template": {"spec": {"topologySpreadConstraints": constraints}}}}
    return Remedy(
        summary="spread them, which rolls out new pods" + MANAGED,
        commands=_patch(dns, body),
    )


def _patch(dns: CoreDNS, body: Any) -> tuple[str, ...]:
    if not dns.workload:
        return ()
    words = ("kubectl", "-n", dns.namespace, "patch", target(dns), "--type=strategic", "-p")
    return (shlex.join((*words, json.dumps(body, separators=(",", ":")))),)


def budget(dns: CoreDNS) -> Remedy:
    return Remedy(
        summary="let drains take one replica at a time",
        manifest=_yaml(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {
                    "name": dns.workload.name if dns.workload else "coredns",
                    "namespace": dns.namespace,
                },
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dns.selector}},
            }
        ),
    )


def memory(dns: CoreDNS, need_bytes: float) -> Remedy:
    """Half as much again as is needed, in steps of 10 MiB."""
    mebibytes = math.ceil(need_bytes * 1.5 / 2**20 / 10) * 10
    commands: tuple[str, ...] = ()
    if dns.workload:
        words = ["kubectl", "-n", dns.namespace, "set", "resources", target(dns)]
        words += ["-c", dns.container, f"--limits=memory={mebibytes}Mi"]
        commands = (shlex.join(words),)
    return Remedy(
        summary=f"raise the limit to {mebibytes} MiB, which rolls out new pods{MANAGED}",
        commands=commands,
    )


def node_local(dns: CoreDNS, domain: str, version: str) -> Remedy:
    """Kubernetes' own manifest by name, with this cluster's addresses put in.

    __PILLAR__CLUSTER__DNS__ and __PILLAR__UPSTREAM__SERVERS__ stay: the cache fills them in.
    """
    summary = (
        "let NodeLocal DNSCache answer on each node: walks and repeated lookups no longer reach "
        "CoreDNS, external names go upstream from the node"
    )
    address = dns.addresses[0] if dns.addresses else ""
    plain = re.fullmatch(r"[\w.-]+", domain)  # sed and the shell read it
    if not address or ":" in address or dns.node_local or not plain:
        return Remedy(summary=summary + "; see the check's page")
    release = re.match(r"v\d+\.\d+\.\d+", version)  # without what providers add
    tag = release[0] if release else "master"
    url = f"{ADDON.format(version=tag)}/nodelocaldns/nodelocaldns.yaml"
    values = {"LOCAL__DNS": LOCAL_ADDRESS, "DNS__DOMAIN": domain, "DNS__SERVER": address}
    edit = ";".join(f"s/__PILLAR__{name}__/{value}/g" for name, value in values.items())
    return Remedy(
        summary=summary + " (these commands are for kube-proxy's iptables mode; for IPVS see the "
        "check's page)",
        commands=(
            f"curl -sSfLO {url}",
            f"sed -i {shlex.quote(edit)} nodelocaldns.yaml",
            "kubectl apply --dry-run=server -f nodelocaldns.yaml  # then without --dry-run",
        ),
    )


def _yaml(obj: dict[str, Any], indent: str = "") -> str:
    """Nested mappings and plain values; what users named is quoted, for a label may be "true"."""
    lines = []
    for key, value in obj.items():
        begin = f"{indent}{key if key.isalnum() else json.dumps(key)}:"
        if isinstance(value, dict):
            lines.append(f"{begin}\n" + _yaml(value, indent + "  "))
        elif isinstance(value, str) and key not in ("apiVersion", "kind", "name", "namespace"):
            quoted = value.replace("'", "''")
            lines.append(f"{begin} '{quoted}'\n")
        else:
            lines.append(f"{begin} {value}\n")
    return "".join(lines)
