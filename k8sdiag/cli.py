"""The command line: puts the commands together and turns every end into a line and a code.

Nothing heavy is imported before a command needs it: `k8sdiag --help` and the node exporter
never see kubernetes, grpc or rich.
"""

import logging
import sys
from typing import NoReturn

import click

from k8sdiag.commands import about, audit, diff, dns, etcd, forecast, serve, watch
from k8sdiag.errors import one_line
from k8sdiag.version import VERSION


def main() -> NoReturn:
    """The entry point: turns every error into one line and the promised exit code."""
    sys.exit(one_line(lambda: cli(standalone_mode=False)))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="k8sdiag %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr, with tracebacks.")
def cli(verbose: bool) -> None:
    """Tells which limit of a Kubernetes cluster breaks next, how close it is, what to type."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR,
        format="k8sdiag: %(name)s: %(message)s",
    )
    for handler in [] if verbose else logging.getLogger().handlers:
        handler.addFilter(logging.Filter("k8sdiag"))  # what libraries say, we say in our words


for command in (
    audit.audit,
    audit.node,
    audit.snapshot,
    forecast.forecast,
    about.checks,
    about.explain,
    about.rbac,
    diff.diff,
    dns.dns,
    etcd.etcd,
    serve.serve,
    watch.watch,
):
    cli.add_command(command)
