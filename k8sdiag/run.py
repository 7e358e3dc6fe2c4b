"""What the commands share: choose checks, look, judge, report."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from k8sdiag import config, plugins
from k8sdiag import snapshot as snapshot_file
from k8sdiag.collect import Door, collect
from k8sdiag.compare import compare
from k8sdiag.doors import Target, opened
from k8sdiag.facts.etcd_history import EtcdHistory
from k8sdiag.facts.nodes import Nodes
from k8sdiag.growth import between
from k8sdiag.judge import judge
from k8sdiag.model import Check, Fact, Missing, Report, Snapshot, Waiver
from k8sdiag.output import Writer, exit_code, write
from k8sdiag.plugins import Source
from k8sdiag.progress import progress
from k8sdiag.readers.host import Host
from k8sdiag.readers.kubernetes import Kubernetes
from k8sdiag.readers.prometheus import Prometheus
from k8sdiag.waivers import waive

HERE = Path(__file__).parent
NOT_ASKED = Missing(reason="this command looks at this host alone", asked=False)


def choose(chosen: Iterable[str], skip: Iterable[str], file: Path | None) -> dict[str, Check]:
    """The checks that the user wants, with the limits of their configuration file."""
    path = config.find(file)
    settings, known = config.read(path), plugins.checks()
    checks = config.apply(settings, known, path)
    config.waivers(settings, known, path)  # a mistake is said by every command
    for name in [*chosen, *skip]:
        if name not in checks:
            near = difflib.get_close_matches(name, checks, n=1)
            hint = f"did you mean {near[0]}?" if near else "`k8sdiag checks` lists them"
            raise click.UsageError(f"there is no check {name!r}: {hint}")
    wanted = [i for i in checks if i in set(chosen or checks) - set(skip)]
    if not wanted:
        raise click.UsageError("no check is left to run: --skip takes away all that was chosen")
    return {i: checks[i] for i in wanted}


def waivers(file: Path | None) -> tuple[Waiver, ...]:
    """Those of the configuration file that choose() reads."""
    path = config.find(file)
    return config.waivers(config.read(path), plugins.checks(), path)


def sources_of(checks: Iterable[Check], sources: Iterable[Source]) -> list[Source]:
    """The sources that give what these checks need."""
    facts = {fact for check in checks for fact in check.needs.values()}
    return [source for source in sources if source.fact in facts]


def of_this_host(checks: dict[str, Check], *, scraped: bool = False) -> dict[str, Check]:
    """The checks that this host alone can answer; with `scraped` as often as it is scraped."""
    sources = [s for s in plugins.sources()[0] if s.door is Host]
    found = _answered(checks, {s.fact for s in sources if s.per_scrape or not scraped})
    if not found:
        raise click.UsageError(
            "none of the chosen checks can be judged on a host alone" + " at each scrape" * scraped
        )
    return found


def of_the_cluster(checks: dict[str, Check], *, prometheus: bool) -> dict[str, Check]:
    """The checks that can be answered without a look at this host, and maybe by Prometheus."""
    sources = plugins.sources()[0]
    closed = {Host} if prometheus else {Host, Prometheus}
    facts = {s.fact for s in sources if s.door not in closed}
    found = _answered(checks, facts)
    # Where only Prometheus tells of the nodes, their list alone is nothing to judge by.
    fleets = {s.fact for s in sources if s.door is Prometheus} - facts
    for name, needs in [(i, set(check.needs.values())) for i, check in found.items()]:
        if needs & fleets and needs & facts == {Nodes}:
            del found[name]
    if not found:
        raise click.UsageError(
            "the chosen checks are about single hosts: run `k8sdiag serve node` on each, and give "
            "--prometheus"
        )
    return found


def _answered(checks: dict[str, Check], facts: set[type[Fact]]) -> dict[str, Check]:
    """The checks for which these facts are enough; and what does not load, to say so."""
    found = {}
    for check in checks.values():
        required = {f for name, f in check.needs.items() if name not in check.optional}
        if check.broken or (required <= facts and facts & set(check.needs.values())):
            found[check.id] = check
    return found


def look(checks: Iterable[Check], target: Target) -> Snapshot:
    """Look at the cluster, at etcd and at this host."""
    sources = sources_of(checks, plugins.sources()[0])
    with progress() as show, opened(target, show) as (doors, cluster):
        found = collect(sources, doors, cluster=cluster)
    closed = doors[Kubernetes]
    if isinstance(closed, Missing):  # the report says it too, after all that it says of this host
        click.echo(f"k8sdiag: the cluster was not seen: {closed.reason}", err=True)
    return found


def look_at_host(checks: Iterable[Check], host: Host) -> Callable[[], Snapshot]:
    """A function that looks at one host alone, or at a tree that stands for it."""
    sources = sources_of(checks, plugins.sources()[0])
    doors: dict[type, Door | Missing] = {s.door: NOT_ASKED for s in sources}
    return lambda: collect(sources, doors | {Host: host}, cluster=host.name)


def load(path: Path) -> Snapshot:
    return snapshot_file.load(path, plugins.fact_types())


def load_demo() -> Snapshot:
    return load(HERE / "demo.json.gz")


def page(check: Check) -> str:
    """A check's page; a plugin's check may have its docstring alone."""
    file = HERE / "pages" / f"{check.id}.md"
    return file.read_text() if file.is_file() else f"# {check.id}\n\n{check.doc}\n"


def report(
    checks: Iterable[Check],
    snapshot: Snapshot,
    writers: Iterable[Writer],
    fail_on: str,
    *,
    baseline: Snapshot | None = None,
    only_new: bool = False,
    waivers: Sequence[Waiver] = (),
) -> int:
    """Judge, write every format, and give the exit code."""
    if baseline:
        judged = compared(list(checks), baseline, snapshot, waivers)
    else:
        judged = waive(judge(checks, snapshot), waivers)
    write(judged, writers)
    return exit_code(judged, fail_on, only_new=only_new)


def compared(
    checks: Sequence[Check], old: Snapshot, new: Snapshot, waivers: Sequence[Waiver] = ()
) -> Report:
    """The report of the newer look with what changed, both judged by the same limits.

    And by the same waivers, as they hold on the day of the newer: what is waived has not gone.
    """
    past = between(old, new)
    if past and EtcdHistory.__name__ not in new.facts:
        new = replace(new, facts=new.facts | {EtcdHistory.__name__: past})
    after = waive(judge(checks, new), waivers)
    before = waive(judge(checks, old), waivers, on=new.taken_at)
    return replace(after, changes=compare(before, after))
