"""What to type about long walks, tried on the resolver model before it is said."""

import json
import shlex
from typing import Any

from msgspec.structs import replace

from k8sdiag.checks._dns_search_walk import EXTERNAL, RESOLVERS, Group, packets, said
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.pods import DNSConfig, Workload
from k8sdiag.kubeletdns import SearchLimits, effective
from k8sdiag.model import Remedy
from k8sdiag.resolver import predict

# The most dots that EXTERNAL, and nearly every name like it, still has.
NDOTS = 2
_PLAIN = ("spec", "template", "spec")
_TEMPLATES = {
    "Deployment": _PLAIN,
    "StatefulSet": _PLAIN,
    "DaemonSet": _PLAIN,
    "ReplicaSet": _PLAIN,
    "ReplicationController": _PLAIN,
    "Rollout": _PLAIN,
    "CronJob": ("spec", "jobTemplate", *_PLAIN),
}


def for_one(
    group: Group, cluster: ClusterDNS, node: NodeResolvConf, bounds: SearchLimits
) -> Remedy:
    """ndots:2 for this workload, unless that would break names on its musl image."""
    workload = group.profile.workload
    # The API replaces this list as a whole: what is in it must be said again.
    config = group.profile.dns_config or DNSConfig()
    options = (*(o for o in config.options if o[0] != "ndots"), ("ndots", str(NDOTS)))
    changed = replace(group.profile, dns_config=replace(config, options=options))
    after = effective(changed, cluster, node, bounds).text
    now, then = said(group.queries), said(packets(after, EXTERNAL))
    dot = f"write external names with a dot at their end ({EXTERNAL}.)"
    broken = _broken(group.conf.text, after, workload.namespace, cluster.domain)
    if broken and group.musl:
        return Remedy(
            summary=f"{dot}: {now} queries become {said(group.needed)}; ndots:{NDOTS} would do "
            f"that for all names at once, but its image is Alpine, whose musl then no longer "
            f"resolves {broken}"
        )
    commands = _patch(workload, options)
    caution = f"; on musl (Alpine) {broken} would no longer resolve" if broken else ""
    return Remedy(
        summary=f"set ndots:{NDOTS}, which rolls out new pods: {now} queries become {then}"
        f"{caution}; which names its programs use is not in the API. Or {dot}, which needs no "
        "setting",
        commands=commands,
        manifest="" if commands else _manifest(options),
    )


def _broken(before: str, after: str, namespace: str, domain: str) -> str:
    """The ways to write a Service's name that some resolver would no longer resolve."""
    forms = {
        "SERVICE": namespace,
        "SERVICE.NAMESPACE": "another",
        "SERVICE.NAMESPACE.svc": "another",
        f"SERVICE.NAMESPACE.svc.{domain}": "another",
    }
    lost = []
    for form, lives_in in forms.items():
        name = form.replace("SERVICE", "db").replace("NAMESPACE", lives_in)
        full = f"db.{lives_in}.svc.{domain}."

        def answer(qname: str, *_: object, full: str = full) -> str:
            return "ok" if qname == full else "nxdomain"

        if any(
            predict(before, name, answer, resolver=resolver).ok
            and not predict(after, name, answer, resolver=resolver).ok
            for resolver in RESOLVERS
        ):
            lost.append(form)
    return " and ".join(lost)


def _patch(workload: Workload, options: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """None where the template is fixed, or an owner of another kind would undo it."""
    if workload.kind not in _TEMPLATES:
        return ()
    body: Any = {"dnsConfig": {"options": _options(options)}}
    for field in reversed(_TEMPLATES[workload.kind]):
        body = {field: body}
    merge = "merge" if workload.kind == "Rollout" else "strategic"  # a custom resource
    target = f"{workload.kind.lower()}/{workload.name}"
    words = ("kubectl", "-n", workload.namespace, "patch", target, f"--type={merge}", "-p")
    return (shlex.join((*words, json.dumps(body, separators=(",", ":")))),)


def _manifest(options: tuple[tuple[str, str], ...]) -> str:
    """The part of a pod's spec, for whatever makes it."""
    lines = ["dnsConfig:", "  options:"]
    for option in _options(options):
        first, *others = (f"{key}: {json.dumps(value)}" for key, value in option.items())
        lines += [f"    - {first}", *(f"      {other}" for other in others)]
    return "\n".join(lines) + "\n"


def _options(options: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": n, "value": v} if v else {"name": n} for n, v in options]


def for_all(policy: str) -> Remedy:
    """Kubernetes has no ndots for a whole cluster (kubernetes#127137). `policy` may be empty."""
    if policy:
        return Remedy(
            summary=f"give new pods ndots:{NDOTS} by the policy below, if Kyverno runs here; it "
            "leaves alone images with alpine in their name, pods with a dnsConfig of their own, "
            "and what has the label dns-ndots: keep",
            manifest=policy,
        )
    return Remedy(
        summary=f"no setting lowers ndots for all pods: give ndots:{NDOTS} to the templates that "
        "they come from (Helm values, or an admission policy: kyverno = true under "
        "[checks.dns-search] prints one; not for Alpine images that use SERVICE.NAMESPACE.svc), or "
        "run NodeLocal DNSCache, which answers the walks on the node"
    )
