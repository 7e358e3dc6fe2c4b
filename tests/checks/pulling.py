"""Small clusters for the checks of image pulls."""

from array import array
from collections.abc import Sequence

from msgspec.structs import replace

from k8sdiag import Finding, Missing, Unseen
from k8sdiag.facts.kubelet import HostKubelet, Kubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.facts.pods import Container, Pods, Profile, Workload, pack
from k8sdiag.model import Said

GB = 10**9
NODE = Node(name="n1", pool="p", kubelet="v1.36.3", runtime="containerd://2.0.6", cpus=32)
NOT_ASKED = Missing(reason="this command looks at this host alone", asked=False)
NOT_READ = Missing(reason="not read: add --kubelet-configz=proxy")
NO_KUBELET = HostKubelet(node="laptop", running=False)
SERIAL = KubeletSettings(
    serialize_image_pulls=True,
    max_parallel_image_pulls=0,
    registry_pull_qps=5,
    registry_burst=10,
    sources={"serialize_image_pulls": "default"},
)
UNBOUNDED = replace(SERIAL, serialize_image_pulls=False)
PARALLEL = replace(UNBOUNDED, max_parallel_image_pulls=5)


def nodes(*sizes: float, of: Sequence[Node] = (NODE,)) -> Nodes:
    """Nodes that all hold images of these sizes in GB, called r/0, r/1, ..."""
    images = tuple(Image(names=(f"r.io/{i}:v1",), size_bytes=int(s * GB)) for i, s in _each(sizes))
    held = tuple(range(len(images)))
    return Nodes(nodes=tuple(replace(n, images=n.images or held) for n in of), images=images)


def _each(sizes: Sequence[float]) -> Sequence[tuple[int, float]]:
    return list(enumerate(sizes))


def profile(
    *images: object,
    phase: str = "Running",
    policy: str = "IfNotPresent",
    kind: str = "Deployment",
    priority: str = "",
) -> Profile:
    return Profile(
        workload=Workload("shop", kind, "web"),
        priority_class=priority,
        containers=tuple(Container(image=f"r.io/{i}:v1", pull_policy=policy) for i in images),
        phase=phase,
    )


def pods(*profiles: Profile, on: Sequence[str] = ("n1",)) -> Pods:
    """One pod of each profile on each node, made in this order."""
    count = len(profiles)
    return Pods(
        profiles=profiles,
        nodes=tuple(on),
        profile_column=pack(array("I", list(range(count)) * len(on))),
        node_column=pack(array("I", [n for n in range(len(on)) for _ in range(count)])),
        created_column=pack(array("I", [1 + i for _ in on for i in range(count)])),
    )


def told(*settings: KubeletSettings, node: str = "n1", pool: str = "p") -> KubeletConfigs:
    return KubeletConfigs(
        kubelets=tuple(
            Kubelet(
                node=node if i == 0 else f"n{i + 1}", pool=pool, version="v1.36.3", settings=each
            )
            for i, each in enumerate(settings)
        )
    )


def findings(said: Sequence[Said]) -> list[Finding]:
    return [x for x in said if isinstance(x, Finding)]


def unseen(said: Sequence[Said]) -> list[Unseen]:
    return [x for x in said if isinstance(x, Unseen)]


TEN = [profile(i) for i in range(10)]
