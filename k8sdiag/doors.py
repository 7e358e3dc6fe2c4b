"""Open every door that the options name, and close it again."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from k8sdiag.collect import Door
from k8sdiag.model import ConfigError, Missing, Unavailable
from k8sdiag.progress import Show
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus


class Target(Struct, kw_only=True):
    """Where to look: the options of the command line, as given."""

    context: str | None = None
    kubeconfig: Path | None = None
    etcd_endpoints: str | None = None
    etcd_cacert: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    prometheus: str | None = None
    prometheus_token_file: Path | None = None
    kubelet_configz: str = "off"
    quick: bool = False


@contextmanager
def opened(target: Target, show: Show) -> Iterator[tuple[dict[type, Door | Missing], str]]:
    """Every door of the target, or why it stays closed; and what the report calls the cluster.

    Raises ConfigError where the user's own configuration is wrong.
    """
    host = Host()
    kubernetes = _kubernetes(target, show)
    doors: dict[type, Door | Missing] = {
        Host: host,
        Kubernetes: kubernetes,
        Etcd: _etcd(target),
        Prometheus: _prometheus(target),
    }
    if isinstance(kubernetes, Missing):
        yield doors, f"this host alone ({host.name})"
    else:
        with closing(kubernetes):
            yield doors, kubernetes.name


def _kubernetes(target: Target, show: Show) -> Kubernetes | Missing:
    try:
        kubernetes = Kubernetes.open(target.kubeconfig, target.context)
    except Unavailable as error:
        return Missing(reason=str(error))
    kubernetes.quick = target.quick
    kubernetes.configz = target.kubelet_configz == "proxy"
    kubernetes.progress = show
    return kubernetes


def _etcd(target: Target) -> Etcd | Missing:
    if not target.etcd_endpoints:
        return Missing(
            reason="etcd was not asked: give --etcd-endpoints with --etcd-cacert, --etcd-cert and "
            "--etcd-key (kubeadm keeps them in /etc/kubernetes/pki/etcd)"
        )
    return Etcd.open(
        target.etcd_endpoints,
        cacert=target.etcd_cacert,
        cert=target.etcd_cert,
        key=target.etcd_key,
    )


def _prometheus(target: Target) -> Prometheus | Missing:
    if target.prometheus:
        return Prometheus.open(target.prometheus, target.prometheus_token_file)
    if target.prometheus_token_file:
        raise ConfigError("--prometheus-token-file is for --prometheus URL: give both")
    return Missing(reason="Prometheus was not asked: give --prometheus URL", asked=False)
