"""etcd top: which resources fill etcd."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k8sdiag.commands.options import API, ETCD, PATH, recorded

if TYPE_CHECKING:
    from k8sdiag.doors import Target
    from k8sdiag.facts.etcd_objects import EtcdObjects
    from k8sdiag.model import Snapshot


@click.group()
def etcd() -> None:
    """Look into etcd."""


@etcd.command()
@click.argument("snapshot", type=PATH, required=False)
@click.option("--demo", is_flag=True, help="Of the lab recording that ships with k8sdiag.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="So many rows; 0: all.",
)
@click.option(
    "--scan",
    is_flag=True,
    help="Where the API server does not tell: count keys in etcd itself, gently; writes to etcd "
    "may wait some milliseconds. Needs --etcd-endpoints.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
)
@API
@ETCD
def top(
    snapshot: Path | None, demo: bool, limit: int, scan: bool, output: str, **cluster: Any
) -> int:
    """Show which resources fill etcd, the largest first.

    Of a live cluster or a SNAPSHOT file: by the API server's own counts and estimates. Bytes are
    of live objects; etcd's file holds their history and free pages too.
    """
    from k8sdiag.doors import Target
    from k8sdiag.errors import FINE, NOT_JUDGED
    from k8sdiag.facts.etcd_objects import EtcdObjects

    recording = recorded(snapshot, demo, [*cluster, "scan"])
    if scan and not cluster["etcd_endpoints"]:
        raise click.UsageError("--scan asks etcd itself: give --etcd-endpoints")
    seen = recording or _look(Target(**cluster), scan=scan)
    stored = seen.facts.get(EtcdObjects.__name__)
    if not isinstance(stored, EtcdObjects):
        why = seen.missing.get(EtcdObjects.__name__)
        reason = why.reason if why else "the recording holds no counts of objects"
        click.echo(f"k8sdiag: {reason}", err=True)
        return NOT_JUDGED
    click.echo(_json(seen, stored) if output == "json" else _table(seen, stored, limit, output))
    return NOT_JUDGED if stored.gaps else FINE


def _look(target: "Target", *, scan: bool) -> "Snapshot":
    from msgspec.structs import replace

    from k8sdiag import plugins
    from k8sdiag.collect import collect
    from k8sdiag.commands.etcdscan import scan as scan_etcd
    from k8sdiag.doors import opened
    from k8sdiag.facts.etcd import EtcdMembers, EtcdSeenByAPIServer
    from k8sdiag.facts.etcd_objects import EtcdObjects
    from k8sdiag.model import Missing, Unavailable
    from k8sdiag.progress import progress
    from k8sdiag.readers.etcd import Etcd
    from k8sdiag.readers.kubernetes import Kubernetes

    wanted = (EtcdObjects, EtcdMembers, EtcdSeenByAPIServer)
    sources = [s for s in plugins.sources()[0] if s.fact in wanted]
    with progress() as show, opened(target, show) as (doors, cluster):
        seen = collect(sources, doors, cluster=cluster)
        kubernetes, etcd = doors[Kubernetes], doors[Etcd]
        if not scan or not isinstance(kubernetes, Kubernetes) or not isinstance(etcd, Etcd):
            return seen
        if EtcdObjects.__name__ in seen.facts:
            click.echo("k8sdiag: the API server tells; etcd is not scanned", err=True)
            return seen
        try:
            fact = scan_etcd(kubernetes, etcd)
        except Unavailable as error:
            missing = {EtcdObjects.__name__: Missing(reason=str(error))}
            return replace(seen, missing=seen.missing | missing)
        return replace(seen, facts=seen.facts | {EtcdObjects.__name__: fact})


def _databases(seen: "Snapshot") -> dict[str, int]:
    """The bytes of each database file that was seen, by its etcd or its member."""
    from k8sdiag.facts.etcd import EtcdMembers, EtcdSeenByAPIServer

    members = seen.facts.get(EtcdMembers.__name__)
    if isinstance(members, EtcdMembers):
        return {f"etcd/{m.name}": m.db_bytes for m in members.members}
    told = seen.facts.get(EtcdSeenByAPIServer.__name__)
    found = told.db_bytes if isinstance(told, EtcdSeenByAPIServer) else {}
    return {f"etcd/{name}": size for name, size in found.items()}


def _table(seen: "Snapshot", stored: "EtcdObjects", limit: int, output: str) -> str:
    from tabulate import tabulate

    from k8sdiag.etcdtop import rank
    from k8sdiag.exporters._text import LAB, amount, line

    def size(value: float | None) -> str:
        return "unknown" if value is None else amount(value, "bytes")

    rows = rank(stored.resources)
    shown = rows[: limit or None]
    cells = [
        (
            line(r.resource).replace("|", "\\|"),  # nothing breaks out of a Markdown table
            "unknown" if r.objects is None else f"{r.objects:,}",
            ("at most " if r.sampled else "") + size(r.size_bytes),
            "unknown" if r.share is None else f"{r.share:.1%}",
            size(r.mean_bytes),
        )
        for r in shown
    ]
    head = [f"{LAB}: {line(seen.lab)}"] if seen.lab else []
    head.append(f"{line(seen.cluster)}, {seen.taken_at:%Y-%m-%d %H:%M:%S %Z}")
    databases = _databases(seen)
    for name, bytes_ in sorted(databases.items()):
        head.append(f"Database of {line(name)}: {amount(bytes_, 'bytes')}")
    known = sum(r.size_bytes or 0 for r in rows)
    if known and databases:
        head.append(
            f"Live objects by estimate: {amount(known, 'bytes')}; the rest of a file is history, "
            "free pages and etcd's own."
        )
    foot = [f"From: {line(stored.provenance)}"]
    if len(rows) > len(shown):
        foot.insert(0, f"{len(rows) - len(shown)} smaller resources are left out: --limit 0")
    if hidden := [line(r.resource) for r in rows if r.size_bytes is None]:
        foot.append(f"Of unknown bytes, and may be larger: {', '.join(hidden[:5])}")
    foot += [f"Not counted: {line(who)}: {line(why)}" for who, why in sorted(stored.gaps.items())]
    headers = ("RESOURCE", "OBJECTS", "BYTES", "SHARE", "MEAN")
    table = tabulate(
        cells,
        headers,
        tablefmt="plain" if output == "table" else "github",
        disable_numparse=True,
        colalign=("left", "right", "right", "right", "right") if cells else None,
    )
    break_ = "\n" if output == "table" else "  \n"  # two blanks keep a line break in Markdown
    return "\n\n".join([break_.join(head), table, break_.join(foot)])


def _json(seen: "Snapshot", stored: "EtcdObjects") -> str:
    """Every row, in ASCII; null is unknown."""
    from k8sdiag.etcdtop import rank

    document = {
        "apiVersion": "k8sdiag.io/v1alpha1",
        "kind": "EtcdTop",
        "cluster": seen.cluster,
        "takenAt": seen.taken_at.isoformat().replace("+00:00", "Z"),
        "source": stored.provenance,
        "databases": [{"name": n, "bytes": b} for n, b in sorted(_databases(seen).items())],
        "resources": [
            {
                "resource": r.resource,
                "objects": r.objects,
                "bytes": r.size_bytes,
                "sampled": r.sampled,
                "share": None if r.share is None else round(r.share, 4),
                "meanBytes": None if r.mean_bytes is None else round(r.mean_bytes),
            }
            for r in rank(stored.resources)
        ],
        "notCounted": dict(sorted(stored.gaps.items())),
    }
    if seen.lab:
        document["lab"] = seen.lab
    return json.dumps(document, indent=2)
