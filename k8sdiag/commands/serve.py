"""serve: findings and metrics over HTTP, for Prometheus."""

from pathlib import Path

import click

from k8sdiag.commands.options import CHOICE, TREE


@click.group()
def serve() -> None:
    """Serve findings and metrics over HTTP, for Prometheus."""


@serve.command("node")
@click.option(
    "--web.listen-address",
    "listen",
    metavar="[HOST]:PORT",
    multiple=True,
    default=[":10057"],  # the exporters' usual 9100 to 9999 are all given away
    show_default=True,
    help="May be given several times.",
)
@click.option(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    help="Where the metrics are.",
)
@TREE
@CHOICE
def serve_node(
    listen: tuple[str, ...],
    telemetry_path: str,
    procfs: Path | None,
    rootfs: Path | None,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
) -> int:
    """Export this host's numbers and findings, read anew at each scrape."""
    from k8sdiag import run
    from k8sdiag.readers.host import Host
    from k8sdiag.serve import serve as serve_http

    checks = run.of_this_host(run.choose(chosen, skip, config), scraped=True)
    # One look a scrape: Prometheus sees by itself whether a counter rises.
    host = Host(procfs, rootfs, look_seconds=0)
    serve_http(run.export_host(checks.values(), host), listen, telemetry_path)
    return 0
