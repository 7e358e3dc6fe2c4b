"""checks, explain and rbac: what the checks are and what they need."""

import click


@click.command()
def checks() -> int:
    """List the checks."""
    from tabulate import tabulate

    from k8sdiag import plugins

    rows = [
        (c.id, f"does not load: {c.broken}" if c.broken else c.title)
        for c in plugins.checks().values()
    ]
    click.echo(tabulate(rows, ("CHECK", "WHAT IT FINDS"), tablefmt="plain"))
    return 0


@click.command()
@click.argument("check", metavar="ID")
def explain(check: str) -> int:
    """Print a check's page: what it reads, its limits, how to mend what it finds."""
    from k8sdiag import run

    click.echo_via_pager(run.page(run.choose((check,), (), None)[check]))
    return 0


@click.command()
@click.option("--check", "chosen", metavar="ID", multiple=True, help="Only for this check.")
@click.option(
    "--kubelet-configz",
    type=click.Choice(["off", "proxy", "direct"]),
    default="off",
    show_default=True,
    help="With what this --kubelet-configz of the audit needs.",
)
@click.option(
    "--etcd-port-forward",
    is_flag=True,
    help="With what it takes to reach etcd's metrics through its pods in kube-system.",
)
@click.option(
    "--coredns-metrics",
    type=click.Choice(["off", "proxy"]),
    default="off",
    show_default=True,
    help="With what --coredns-metrics=proxy of the audit needs.",
)
def rbac(
    chosen: tuple[str, ...], kubelet_configz: str, etcd_port_forward: bool, coredns_metrics: str
) -> int:
    """Print the smallest ClusterRole that the chosen checks need, ready for kubectl apply."""
    from k8sdiag import plugins, run
    from k8sdiag.rbac import CONFIGZ, FORWARD, KUBELET, POD, manifest

    checks = run.choose(chosen, (), None)
    wanted = run.sources_of(checks.values(), plugins.sources()[0])
    asked = {
        KUBELET: kubelet_configz == "proxy",
        CONFIGZ: kubelet_configz == "direct",
        FORWARD: etcd_port_forward,
        POD: coredns_metrics == "proxy",
    }
    click.echo(manifest(wanted, asked=[name for name, yes in asked.items() if yes]), nl=False)
    return 0
