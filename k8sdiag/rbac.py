"""The smallest role that some sources need, from what they declare."""

from collections.abc import Collection, Iterable, Iterator

from k8sdiag.model import Permission
from k8sdiag.plugins import Source

NAME = "k8sdiag"
# get on nodes/proxy reaches exec in every pod of the node, a port-forward whatever listens on the
# loopback of a control plane's node, pods/proxy every port of a pod: each only if it is asked for.
KUBELET, FORWARD, POD = "nodes/proxy", "pods/portforward", "pods/proxy"
DANGEROUS = {KUBELET, FORWARD, POD}
CONFIGZ = "nodes/configz"  # harmless, and of no use to who does not ask kubelets themselves


def manifest(sources: Iterable[Source], *, asked: Collection[str] = ()) -> str:
    """Roles and bindings as YAML for the service account k8sdiag in the namespace k8sdiag.

    `asked` are those of the DANGEROUS resources, and of CONFIGZ, that it may have.
    """
    left_out = (DANGEROUS | {CONFIGZ}) - set(asked)
    wanted = {p for s in sources for p in s.permissions if p.resource not in left_out}
    return "---\n".join(
        _role(
            "Role" if place else "ClusterRole", place, [p for p in wanted if p.namespace == place]
        )
        for place in sorted({"", *(p.namespace for p in wanted)})
    )


def _role(kind: str, namespace: str, permissions: list[Permission]) -> str:
    rules = "".join(("\n", *_rules(permissions))) if permissions else " []\n"
    where = f", namespace: {namespace}" if namespace else ""
    api = "rbac.authorization.k8s.io"
    return (
        f"apiVersion: {api}/v1\nkind: {kind}\nmetadata: {{name: {NAME}{where}}}\n"
        f"rules:{rules}"
        f"---\napiVersion: {api}/v1\nkind: {kind}Binding\nmetadata: {{name: {NAME}{where}}}\n"
        f"roleRef: {{apiGroup: {api}, kind: {kind}, name: {NAME}}}\n"
        f"subjects: [{{kind: ServiceAccount, name: {NAME}, namespace: {NAME}}}]\n"
    )


def _rules(permissions: Iterable[Permission]) -> Iterator[str]:
    """One rule per resource, whose verbs and names are the same for all that stands in it."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for p in permissions:
        verbs.setdefault((p.group, p.resource, p.names), set()).add(p.verb)
    for (group, resource, names), found in sorted(verbs.items()):
        what = f'apiGroups: ["{group}"], resources: ["{resource}"]'
        if resource.startswith("/"):
            what = f'nonResourceURLs: ["{resource}"]'
        if names:
            what += f", resourceNames: {_list(names)}"
        yield f"- {{{what}, verbs: {_list(sorted(found))}}}\n"


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
