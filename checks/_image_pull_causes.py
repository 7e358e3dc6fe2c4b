"""Why image pulls fail, in words, and what to type about each cause."""

from msgspec import Struct

from k8sdiag.model import Remedy


class Cause(Struct, frozen=True, kw_only=True):
    code: str  # as k8sdiag.pulls.errors tells it
    what: str
    remedy: Remedy
    shared: bool = False  # a matter of the registry, the network or the nodes: it spreads


_EVENTS = "kubectl get events -A --field-selector reason=Failed | grep 'Failed to pull image'"
_LOOK = "kubectl -n NAMESPACE describe pod POD  # its events have the whole text"


def _remedy(summary: str, *commands: str, manifest: str = "") -> Remedy:
    return Remedy(summary=summary, commands=commands or (_EVENTS,), manifest=manifest)


_ALL = (
    Cause(
        code="over-qps",
        what="the kubelet refuses more pulls at once (pull QPS exceeded)",
        shared=True,
        remedy=_remedy(
            "let the kubelets queue pulls instead of refusing them, and start more a second",
            "kubectl -n kube-system edit configmap kubelet-config  # the lines of the manifest",
            "sudo kubeadm upgrade node phase kubelet-config  # on each node",
            "sudo systemctl restart kubelet  # on each node",
            manifest="serializeImagePulls: false\nmaxParallelImagePulls: 5\n"
            "registryPullQPS: 20\nregistryBurst: 40\n",
        ),
    ),
    Cause(
        code="too-many-requests",
        what="the registry refuses so many requests (429)",
        shared=True,
        remedy=_remedy(
            "pull from a mirror or a pull-through cache, or log in: Docker Hub counts anonymous "
            "pulls by address, and nodes behind one NAT share it",
        ),
    ),
    Cause(
        code="disk-full",
        what="the disk of the images is full",
        shared=True,
        remedy=_remedy(
            "give the nodes larger disks, or fewer and smaller images; the kubelet removes unused "
            "ones above imageGCHighThresholdPercent",
            "kubectl describe nodes | grep -A6 'DiskPressure'",
            "sudo crictl rmi --prune  # on such a node: removes images that no container uses",
        ),
    ),
    Cause(
        code="no-progress",
        what="pulls were cancelled, as container runtimes do when one makes no progress",
        shared=True,
        remedy=_remedy(
            "see whether the runtimes' deadline is too short, and what the disks and the registry "
            "are busy with; restarts of kubelets and deleted pods cancel pulls as well",
            "k8sdiag explain image-pull-runtime",
            _EVENTS,
        ),
    ),
    Cause(
        code="too-slow",
        what="the registry or a proxy took too long to answer, or cri-dockerd's deadline passed",
        shared=True,
        remedy=_remedy("ask the registry from such a node, and see how busy it is"),
    ),
    Cause(
        code="interrupted",
        what="the connection to the registry broke off",
        shared=True,
        remedy=_remedy(
            "see what lies between: proxies, NAT with too few ports, the registry's load"
        ),
    ),
    Cause(
        code="unreachable",
        what="the registry can't be reached",
        shared=True,
        remedy=_remedy("see whether the nodes may reach it: firewall, proxy, route"),
    ),
    Cause(
        code="name-lookup",
        what="the registry's name does not resolve on the node",
        shared=True,
        remedy=_remedy(
            "nodes resolve by their own /etc/resolv.conf, not by the cluster's DNS",
            "resolvectl query REGISTRY  # on such a node",
        ),
    ),
    Cause(
        code="registry-down",
        what="the registry answers with an error of its own (5xx)",
        shared=True,
        remedy=_remedy("see how the registry is, and put a mirror beside the nodes"),
    ),
    Cause(
        code="not-trusted",
        what="the node does not trust the registry's certificate",
        shared=True,
        remedy=_remedy(
            "renew it, or give the nodes its CA",
            "ls /etc/containerd/certs.d/REGISTRY/  # hosts.toml names the CA",
        ),
    ),
    Cause(
        code="no-access",
        what="the registry refuses access, or there is no such repository",
        remedy=_remedy(
            "check the name, and the pull secret of the pod or its service account",
            "kubectl -n NAMESPACE get pod POD -o jsonpath='{.spec.imagePullSecrets}'",
            _LOOK,
        ),
    ),
    Cause(
        code="not-found",
        what="the registry has no such image",
        remedy=_remedy("check name and tag; a tag may have been cleaned up", _LOOK),
    ),
    Cause(
        code="wrong-platform",
        what="the image is not built for the node's architecture or system",
        remedy=_remedy(
            "build it for all of the cluster's architectures, or select nodes that fit it",
            "kubectl get nodes -L kubernetes.io/arch,kubernetes.io/os",
        ),
    ),
    Cause(
        code="bad-name",
        what="the image's name is no valid one",
        remedy=_remedy("mend the name in the workload", _LOOK),
    ),
    Cause(
        code="not-signed",
        what="the image's signature is missing or not accepted on the node",
        remedy=_remedy("sign the image, or see the node's policy (/etc/containers/policy.json)"),
    ),
    Cause(
        code="never-pulled",
        what="imagePullPolicy is Never, and the node does not hold the image",
        remedy=_remedy("change the policy, or load the image on the nodes first", _LOOK),
    ),
    Cause(
        code="not-inspected",
        what="the runtime can't say whether it holds the image",
        shared=True,
        remedy=_remedy(
            "see the runtime's log", "sudo journalctl -u containerd -u crio --since -1h"
        ),
    ),
    Cause(
        code="other",
        what="pulls fail for a reason that k8sdiag does not know",
        remedy=_remedy("read the kubelet's words", _EVENTS),
    ),
)
CAUSES = {cause.code: cause for cause in _ALL}
# Of pods that wait, where a kubelet before 1.32 backs off and its events have gone.
UNKNOWN = Cause(
    code="waiting",
    what="the kubelet backs off, and no event tells why any more",
    remedy=_remedy("read what the kubelet says at the next try", _LOOK),
)
