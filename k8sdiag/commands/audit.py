"""audit, node and snapshot: look, and judge what was seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k8sdiag.commands.options import CHOICE, CLUSTER, EXIT_CODES, OUTPUT, PATH, TREE, recorded

if TYPE_CHECKING:
    from k8sdiag.model import Snapshot


@click.command(epilog=EXIT_CODES)
@click.argument("snapshot", type=PATH, required=False)
@click.option("--demo", is_flag=True, help="Judge the lab recording that ships with k8sdiag.")
@CLUSTER
@click.option("--baseline", metavar="OLD", type=PATH, help="Compare with this snapshot.")
@click.option(
    "--fail-on-new",
    is_flag=True,
    help="For the exit code count only what the baseline did not have.",
)
@CHOICE
@OUTPUT
def audit(
    snapshot: Path | None,
    demo: bool,
    baseline: Path | None,
    fail_on_new: bool,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    fail_on: str,
    outputs: tuple[str, ...],
    **cluster: Any,
) -> int:
    """Judge a cluster and this host, or a SNAPSHOT file taken earlier.

    Without a kubeconfig this host alone is judged, and the report says what was not.
    """
    from k8sdiag import output, run
    from k8sdiag.doors import Target

    if fail_on_new and not baseline:
        raise click.UsageError("--fail-on-new compares with an earlier look: give --baseline OLD")
    recording = recorded(snapshot, demo, cluster)
    old = run.load(baseline) if baseline else None
    writers = output.writers(outputs)
    checks = run.choose(chosen, skip, config)
    facts = recording or run.look(checks.values(), Target(**cluster))
    return run.report(
        checks.values(),
        facts,
        writers,
        fail_on,
        baseline=old,
        only_new=fail_on_new,
        waivers=run.waivers(config),
    )


@click.command(epilog=EXIT_CODES)
@TREE
@click.option(
    "--neighbors",
    is_flag=True,
    help="Count neighbor entries by device and state too; needs the host's network.",
)
@CHOICE
@OUTPUT
def node(
    procfs: Path | None,
    rootfs: Path | None,
    neighbors: bool,
    chosen: tuple[str, ...],
    skip: tuple[str, ...],
    config: Path | None,
    fail_on: str,
    outputs: tuple[str, ...],
) -> int:
    """Judge this host alone: kernel, kubelet, container runtime."""
    from k8sdiag import output, run
    from k8sdiag.readers.host import Host

    writers = output.writers(outputs)
    checks = run.of_this_host(run.choose(chosen, skip, config))
    facts = run.look_at_host(checks.values(), Host(procfs, rootfs, neighbors=neighbors))()
    if neighbors and not outputs:
        click.echo(_by_device(facts) + "\n")
    return run.report(checks.values(), facts, writers, fail_on, waivers=run.waivers(config))


def _by_device(snapshot: "Snapshot") -> str:
    from tabulate import tabulate

    fact = snapshot.facts.get("NeighborTables")
    rows = [
        (table.family, row.device, row.state, "yes" if row.counts else "no", row.entries)
        for table in (fact.tables if fact else ())
        for row in table.devices
    ]
    headers = ("NEIGHBORS", "DEVICE", "STATE", "COUNTS", "ENTRIES")
    return tabulate(rows, headers, tablefmt="plain") if rows else "NEIGHBORS by device: none seen"


@click.command()
@click.argument("file", type=PATH)
@CLUSTER
def snapshot(file: Path, **cluster: Any) -> int:
    """Collect all facts into FILE, to be judged later or elsewhere.

    The file holds no Secret, no environment value, no annotation and no token; it does name
    the cluster's workloads, images and nodes, and only its owner can read it.

    The exit code is 3 when the cluster's nodes could not be seen.
    """
    from k8sdiag import run
    from k8sdiag.doors import Target
    from k8sdiag.errors import FINE, NOT_JUDGED
    from k8sdiag.files import must_be_writable
    from k8sdiag.snapshot import save

    must_be_writable(file)  # before minutes of reading, not after
    facts = run.look(run.choose((), (), None).values(), Target(**cluster))
    save(facts, file)
    size = file.stat().st_size
    click.echo(f"{file}: {len(facts.facts)} facts, {size:,} bytes", err=True)
    for reason in dict.fromkeys(m.reason for m in facts.missing.values() if m.asked):
        click.echo(f"not seen: {reason}", err=True)
    return FINE if "Nodes" in facts.facts else NOT_JUDGED
