"""serve: findings and metrics over HTTP, for Prometheus."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from k8sdiag.commands.options import CHOICE, CLUSTER, PATH, TREE, duration, options
from k8sdiag.late import load_when_used


def _web(port: int) -> Callable[[Any], Any]:
    """The options of every exporter, named as those of Prometheus' own are."""
    return options(
        click.option(
            "--web.listen-address",
            "listen",
            metavar="[HOST]:PORT",
            multiple=True,
            default=[f":{port}"],  # the exporters' usual 9100 to 9999 are all given away
            show_default=True,
            help="May be given several times.",
        ),
        click.option(
            "--web.telemetry-path",
            "telemetry_path",
            default="/metrics",
            show_default=True,
            help="Where the metrics are.",
        ),
        click.option(
            "--web.config.file",
            "web_config",
            type=PATH,
            help="TLS, client certificates, passwords; read again when it changes.",
        ),
    )


@click.group()
def serve() -> None:
    """Serve findings and metrics over HTTP, for Prometheus."""


@serve.command("node")
@_web(10057)
@TREE
@CHOICE
def serve_node(
    listen: tuple[str, ...],
    telemetry_path: str,
    web_config: Path | None,
    procfs: Path | None,
    rootfs: Path | None,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
) -> int:
    """Export this host's numbers and findings.

    The kernel is asked at each scrape; files of the kubelet are read once a minute at most.
    """
    # 5 MB on every node, and nothing uses it without TLS; but much imports it.
    load_when_used("ssl")
    from k8sdiag import run, scrape
    from k8sdiag.readers.host import Host
    from k8sdiag.web.server import exporter, serve

    checks = run.of_this_host(run.choose(chosen, skip, config), scraped=True)
    # One look a scrape: Prometheus sees by itself whether a counter rises.
    host = Host(procfs, rootfs, look_seconds=0)
    served = exporter(
        scrape.node(checks.values(), host, run.waivers(config)), telemetry_path, web_config
    )
    serve(served, listen, threading.Event())
    return 0


@serve.command("cluster")
@_web(10058)
@click.option(
    "--interval",
    metavar="DURATION",
    default="5m",
    show_default=True,
    callback=duration,
    help="The pause after each look at the cluster.",
)
@CLUSTER
@CHOICE
def serve_cluster(
    listen: tuple[str, ...],
    telemetry_path: str,
    web_config: Path | None,
    interval: float,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    **cluster: Any,
) -> int:
    """Export what the checks find in a cluster; one of these for each.

    It looks in the background. /-/ready says 503 until the first look is over; a look that fails
    keeps the last report and shows in k8sdiag_snapshot_refresh_success and in its age.
    """
    from k8sdiag import run
    from k8sdiag.doors import Target
    from k8sdiag.refresh import Refresh, look_at_cluster
    from k8sdiag.web.server import exporter, serve

    target = Target(**cluster)
    wanted = run.choose(chosen, skip, config)
    checks = run.of_the_cluster(wanted, prometheus=bool(target.prometheus))
    told = threading.Event()
    refresh = Refresh(look_at_cluster(checks.values(), target, run.waivers(config)), interval, told)
    served = exporter(refresh.scrape, telemetry_path, web_config, refresh.ready)
    threading.Thread(target=refresh.run, daemon=True).start()
    serve(served, listen, told)
    if refresh.fault:
        raise refresh.fault
    return 0
