"""A few kubelets of each pool, asked for their settings: by the API server, or directly."""

import re
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from k8sdiag.facts.kubelet import Kubelet, KubeletConfigs
from k8sdiag.facts.nodes import Node
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import Forbidden
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources import nodes
from k8sdiag.sources._kubelet import reported

PROXY = Permission(resource="nodes/proxy", verb="get")
DIRECT = Permission(resource="nodes/configz", verb="get")
PERMISSIONS = (nodes.LIST, PROXY, DIRECT)

# The API server's own limits do not hold for what it proxies: we go easy by ourselves.
SAMPLE = 3  # kubelets of each pool and version
MOST = 100  # in all
PAUSE_SECONDS = 0.1  # between two of them
SECONDS = 5.0  # for one answer
_OFF = "it serves no /configz: its enableDebuggingHandlers is false, as on Bottlerocket"
FAILURES = 5  # in a row, after which the way to the kubelets is taken for broken


class _Reply(Struct):
    kubeletconfig: dict[str, object]


def collect(reader: Kubernetes) -> KubeletConfigs:
    if reader.configz == "off":
        raise Unavailable(
            "the kubelets' settings were not read: it needs nodes/proxy, which allows exec in "
            "every pod; add --kubelet-configz=proxy (inside the cluster direct, which needs "
            "nodes/configz), or run k8sdiag node on a node"
        )
    found: list[Kubelet] = []
    gaps: dict[str, str] = {}
    failures = 0
    chosen = list(sample(nodes.collect(reader).nodes))
    for node in chosen[:MOST]:
        try:
            found.append(_ask(reader, node))
            failures = 0
        except Forbidden:
            raise  # the same for every node that is asked
        except NotFound as error:
            failures = 0
            gaps[f"the kubelet of node/{node.name}"] = str(error)
        except Unavailable as error:
            gaps[f"the kubelet of node/{node.name}"] = str(error)
            failures += 1
            if failures == FAILURES:
                gaps["the other kubelets"] = f"not asked after {failures} failures in a row"
                break
        time.sleep(PAUSE_SECONDS)
    left = {(n.pool, n.kubelet) for n in chosen} - {(n.pool, n.kubelet) for n in chosen[:MOST]}
    if left:
        gaps["kubelets"] = f"{len(left)} pools and versions not asked, to spare the API server"
    if not found:
        raise Unavailable(next(iter(gaps.values()), "the cluster has no nodes"))
    return KubeletConfigs(
        kubelets=tuple(found),
        gaps=gaps,
        provenance=f"/configz of {len(found)} kubelets"
        + (" through the API server" if reader.configz == "proxy" else ""),
    )


def sample(found: tuple[Node, ...]) -> Iterator[Node]:
    """Up to SAMPLE nodes of each pool and version, apart from each other, ready ones first.

    One of each group comes before the second of any: a cut at the end costs no group whole.
    """
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in found:
        groups.setdefault((node.pool, node.kubelet), []).append(node)
    for i in range(SAMPLE):
        for _, group in sorted(groups.items()):
            if i < len(group):
                ready = [n for n in group if n.ready]
                among = ready if len(ready) >= SAMPLE else sorted(group, key=lambda n: not n.ready)
                yield among[i * len(among) // min(SAMPLE, len(among))]


def _ask(reader: Kubernetes, node: Node) -> Kubelet:
    if reader.configz == "direct":
        body = _directly(reader, node)
    else:
        path = f"/api/v1/nodes/{node.name}/proxy/configz"
        try:
            body = reader.get(path, PROXY, timeout_seconds=SECONDS)
        except NotFound as error:
            raise NotFound(_OFF) from error
    try:
        config = msgspec.json.decode(body, type=_Reply).kubeletconfig
    except msgspec.DecodeError as error:
        raise Unavailable("its answer is not that of a kubelet") from error
    return Kubelet(
        node=node.name,
        pool=node.pool,
        version=node.kubelet,
        settings=reported(config, f"/configz of node/{node.name}"),
    )


def _directly(reader: Kubernetes, node: Node) -> bytes:
    release = re.match(r"v(\d+)\.(\d+)\.", node.kubelet)
    # Before KubeletFineGrainedAuthz was on by default, nodes/proxy was asked for this as well.
    if release and (int(release[1]), int(release[2])) < (1, 33):
        raise NotFound("kubelets before 1.33 know no nodes/configz; --kubelet-configz=proxy asks")
    if not node.addresses or not node.kubelet_port:
        raise NotFound("its node has no internal address, or tells no port of the kubelet")
    address, port = node.addresses[0], node.kubelet_port
    try:
        return reader.kubelet(address, port, "/configz", DIRECT, timeout_seconds=SECONDS)
    except NotFound as error:
        raise NotFound(_OFF) from error
    except Forbidden:
        raise
    except Unavailable as error:
        if "its certificate is" not in str(error):
            raise
        raise Unavailable(
            f"the kubelet {address}:{port}: its certificate is none of the cluster's CA for this "
            "address, as kubelets sign their own unless serverTLSBootstrap is set: "
            "--kubelet-insecure-tls takes any"
        ) from error
