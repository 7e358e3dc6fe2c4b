"""The smallest role that some sources need, from what they declare."""

from collections.abc import Iterable

from k8sdiag.model import Permission
from k8sdiag.plugins import Source

NAME = "k8sdiag"
# get on nodes/proxy reaches exec in every pod of the node: only by an option of its own.
DANGEROUS = "nodes/proxy"


def manifest(sources: Iterable[Source], *, proxy: bool) -> str:
    """Roles and bindings as YAML for the service account k8sdiag in the namespace k8sdiag."""
    wanted = {p for s in sources for p in s.permissions if proxy or p.resource != DANGEROUS}
    return "---\n".join(
        _role(
            "Role" if place else "ClusterRole", place, [p for p in wanted if p.namespace == place]
        )
        for place in sorted({"", *(p.namespace for p in wanted)})
    )


def _role(kind: str, namespace: str, permissions: list[Permission]) -> str:
    where = f", namespace: {namespace}" if namespace else ""
    api = "rbac.authorization.k8s.io"
    return (
        f"apiVersion: {api}/v1\nkind: {kind}\nmetadata: {{name: {NAME}{where}}}\n"
        f"rules:\n{''.join(_rules(permissions)) or '[]'}"
        f"---\napiVersion: {api}/v1\nkind: {kind}Binding\nmetadata: {{name: {NAME}{where}}}\n"
        f"roleRef: {{apiGroup: {api}, kind: {kind}, name: {NAME}}}\n"
        f"subjects: [{{kind: ServiceAccount, name: {NAME}, namespace: {NAME}}}]\n"
    )


def _rules(permissions: list[Permission]) -> list[str]:
    """One rule per (group, verbs, names): as few lines as say the same."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for p in permissions:
        verbs.setdefault((p.group, p.resource, p.names), set()).add(p.verb)
    resources: dict[tuple[str, tuple[str, ...], tuple[str, ...], bool], set[str]] = {}
    for (group, resource, names), v in verbs.items():
        key = (group, names, tuple(sorted(v)), resource.startswith("/"))
        resources.setdefault(key, set()).add(resource)
    lines = []
    for (group, names, v, is_url), found in sorted(resources.items()):
        if is_url:
            lines.append(f"- {{nonResourceURLs: {_list(sorted(found))}, verbs: {_list(v)}}}\n")
            continue
        only = f", resourceNames: {_list(names)}" if names else ""
        what = f"apiGroups: {_list([group])}, resources: {_list(sorted(found))}{only}"
        lines.append(f"- {{{what}, verbs: {_list(v)}}}\n")
    return lines


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
