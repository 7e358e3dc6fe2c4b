"""Open every door that the options name, and close it again."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from msgspec import Struct

from k8sdiag.collect import Door
from k8sdiag.model import ConfigError, Missing, Unavailable
from k8sdiag.progress import Show
from k8sdiag.readers.etcd import Etcd
from k8sdiag.readers.etcd_local import belongs, open_local
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus

PASSWORD = "K8SDIAG_ETCD_PASSWORD"  # noqa: S105 - the variable's name


class Target(Struct, kw_only=True):
    """Where to look: the options of the command line, as given."""

    context: str | None = None
    kubeconfig: Path | None = None
    etcd_endpoints: str | None = None
    etcd_cacert: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    etcd_user: str | None = None
    prometheus: str | None = None
    prometheus_token_file: Path | None = None
    node_resolv_conf: Path | None = None
    kubelet_configz: str = "off"
    kubelet_insecure_tls: bool = False
    coredns_metrics: str = "off"
    quick: bool = False


@contextmanager
def opened(target: Target, show: Show) -> Iterator[tuple[dict[type, Door | Missing], str]]:
    """Every door of the target, or why it stays closed; and what the report calls the cluster.

    Raises ConfigError where the user's own configuration is wrong.
    """
    host = Host()
    host.node_resolv_conf = target.node_resolv_conf
    kubernetes = _kubernetes(target, show)
    etcd = _etcd(target, host, kubernetes)
    if isinstance(etcd, Etcd) and target.quick:
        etcd.look_seconds = 2.0
    if isinstance(kubernetes, Kubernetes):
        kubernetes.forward_to_etcd = isinstance(etcd, Missing)
    doors: dict[type, Door | Missing] = {
        Host: host,
        Kubernetes: kubernetes,
        Etcd: etcd,
        Prometheus: prometheus(target),
    }
    if isinstance(kubernetes, Missing):
        yield doors, f"this host alone ({host.name})"
    else:
        with closing(kubernetes):
            yield doors, kubernetes.name


def _kubernetes(target: Target, show: Show) -> Kubernetes | Missing:
    if target.kubelet_insecure_tls and target.kubelet_configz != "direct":
        raise ConfigError("--kubelet-insecure-tls is for --kubelet-configz=direct: give both")
    try:
        kubernetes = Kubernetes.open(target.kubeconfig, target.context)
    except Unavailable as error:
        return Missing(reason=str(error))
    kubernetes.quick = target.quick
    kubernetes.look_seconds = 2.0 if target.quick else kubernetes.look_seconds
    kubernetes.configz = target.kubelet_configz
    kubernetes.kubelet_tls = not target.kubelet_insecure_tls
    kubernetes.coredns_metrics = target.coredns_metrics == "proxy"
    kubernetes.progress = show
    return kubernetes


def _etcd(target: Target, host: Host, kubernetes: Kubernetes | Missing) -> Etcd | Missing:
    user = target.etcd_user or ""
    if ":" in user:
        raise ConfigError(f"--etcd-user takes no password: give it in {PASSWORD}")
    try:
        if not target.etcd_endpoints:
            found = open_local(host, user, _password(user))
            if isinstance(kubernetes, Kubernetes) and not belongs(host, kubernetes):
                return Missing(
                    reason="etcd was not asked: this host has one, but is no node of this "
                    "cluster; give --etcd-endpoints"
                )
            return found
    except Unavailable as error:
        return Missing(reason=str(error))
    return named_etcd(target)


def named_etcd(target: Target) -> Etcd:
    """The etcd of --etcd-endpoints. Raises ConfigError."""
    user = target.etcd_user or ""
    if ":" in user:
        raise ConfigError(f"--etcd-user takes no password: give it in {PASSWORD}")
    return Etcd.open(
        target.etcd_endpoints or "",
        cacert=target.etcd_cacert,
        cert=target.etcd_cert,
        key=target.etcd_key,
        user=user,
        password=_password(user),
    )


def _password(user: str) -> str:
    """Of an etcd user: never an option, which every process on this host could read."""
    if not user:
        return ""
    if told := os.environ.get(PASSWORD):
        return told
    if not sys.stdin.isatty():
        raise ConfigError(f"--etcd-user {user}: give its password in {PASSWORD}")
    return str(click.prompt(f"Password of etcd's user {user}", hide_input=True, err=True))


def prometheus(target: Target) -> Prometheus | Missing:
    if target.prometheus:
        return Prometheus.open(target.prometheus, target.prometheus_token_file)
    if target.prometheus_token_file:
        raise ConfigError("--prometheus-token-file is for --prometheus URL: give both")
    return Missing(reason="Prometheus was not asked: give --prometheus URL", asked=False)
