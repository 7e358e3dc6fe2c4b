"""The same snapshot otherwise: in another order, with hostile names."""

import random
from array import array
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.facts.pods import Pods, pack
from k8sdiag.model import Fact, Snapshot

# What a shell, YAML, a terminal and a URL take for more than a name.
HOSTILE = "x;$(id)'\"|y \x1b[31m\u202eé["
# Words of an API and not names: what they may be, the server and our sources bound.
_WORDS = {
    "phase", "kind", "pull_policy", "dns_policy", "os", "family", "component", "verb", "scope",
    "runtime", "kubelet", "version", "server", "proxy_mode", "domain", "pod_cidrs", "ranges",
    "cluster_cidrs", "node_masks", "cluster_ips", "limits", "sources",
}  # fmt: skip
# The order of these says something, or is the source's own: positions, hosts by their names.
_ORDERED = {"images", "hosts"}


def hostile(snapshot: Snapshot) -> Snapshot:
    """Every name ends in HOSTILE, the same everywhere, so that names still match."""
    return replace(snapshot, facts={n: _renamed(f, "") for n, f in snapshot.facts.items()})


def _renamed(value: Any, field: str) -> Any:
    if field in _WORDS:
        return value
    if isinstance(value, str):
        return value and value + HOSTILE
    if isinstance(value, Struct):
        fields = value.__struct_fields__
        return replace(value, **{name: _renamed(getattr(value, name), name) for name in fields})
    if isinstance(value, tuple):
        return tuple(_renamed(item, field) for item in value)
    if isinstance(value, dict):
        return {_renamed(k, field): _renamed(v, field) for k, v in value.items()}
    return value


def shuffled(snapshot: Snapshot, seed: int) -> Snapshot:
    """What a server lists comes in another order."""
    rng = random.Random(seed)
    facts: dict[str, Fact] = {}
    for name in rng.sample(list(snapshot.facts), len(snapshot.facts)):
        fact = snapshot.facts[name]
        facts[name] = _pods(fact, rng) if isinstance(fact, Pods) else _in_disorder(fact, rng)
    return replace(snapshot, facts=facts)


def _in_disorder(fact: Fact, rng: random.Random) -> Fact:
    changed: dict[str, Any] = {}
    for name in set(fact.__struct_fields__) - _ORDERED:
        value = getattr(fact, name)
        if isinstance(value, dict):
            changed[name] = dict(rng.sample(list(value.items()), len(value)))
        elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
            changed[name] = tuple(rng.sample(value, len(value)))
    return replace(fact, **changed)


def _pods(pods: Pods, rng: random.Random) -> Pods:
    """The columns name profiles and nodes by their positions, which change as well."""
    profiles = rng.sample(range(len(pods.profiles)), len(pods.profiles))
    nodes = rng.sample(range(len(pods.nodes)), len(pods.nodes))
    profile_at = {old: new for new, old in enumerate(profiles)}
    node_at = {old: new for new, old in enumerate(nodes)}
    rows = list(zip(*pods.columns(), pods.created(), strict=True))
    rng.shuffle(rows)
    columns = (
        [profile_at[profile] for profile, _, _ in rows],
        [node_at[node] for _, node, _ in rows],
        [created for *_, created in rows],
    )
    profile_column, node_column, created_column = (pack(array("I", c)) for c in columns)
    return replace(
        pods,
        profiles=tuple(pods.profiles[i] for i in profiles),
        nodes=tuple(pods.nodes[i] for i in nodes),
        profile_column=profile_column,
        node_column=node_column,
        created_column=created_column,
        served=tuple(rng.sample(pods.served, len(pods.served))),
    )
