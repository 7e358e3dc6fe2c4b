"""The verdicts on a neighbor table: quiet ones first."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from k8sdiag.checks._neighbor_verdict import NeighborTableLimits
from k8sdiag.checks.neighbor_table import check
from k8sdiag.facts.neighbor import (
    DeviceNeighbors,
    FleetNeighborTables,
    HostTables,
    NeighborTable,
    NeighborTables,
)
from k8sdiag.facts.nodes import Node, Nodes
from k8sdiag.model import Finding, Metric, Missing, Said, Severity, Unseen, Usage
from k8sdiag.readers.host import Host
from k8sdiag.sources.neighbor_procfs import collect

RECORDED = Path(__file__).parents[1] / "testdata" / "neighbor"
ALONE = Missing(reason="this command looks at this host alone", asked=False)


def table(**fields: object) -> NeighborTable:
    """A table that was never above gc_thresh2 since boot."""
    usual = NeighborTable(
        family="ipv4",
        entries=100,
        gc_thresh1=128,
        gc_thresh2=512,
        gc_thresh3=1024,
        table_fulls=0,
        forced_gc_runs=0,
        last_flush_seconds=86_400.0,
    )
    return replace(usual, **fields)


def busy(**fields: object) -> NeighborTable:
    """A table that was collected by force a second ago."""
    return table(**{"forced_gc_runs": 9, "last_flush_seconds": 1.0, **fields})


def said(*tables: NeighborTable, nodes: Nodes | Missing = ALONE) -> list[Said]:
    fact = NeighborTables(host="node-1", tables=tables)
    return list(check(fact, ALONE, nodes, NeighborTableLimits()))


def cluster(count: int) -> Nodes:
    return Nodes(nodes=tuple(Node(name=f"node-{i}") for i in range(1, count + 1)))


def findings(*tables: NeighborTable) -> list[Finding]:
    return [x for x in said(*tables) if isinstance(x, Finding)]


QUIET = {
    "few entries": table(),
    "3,000 permanent entries of a flannel node, seen": table(
        entries=3003, exempt=3000, forced_gc_runs=0
    ),
    "3,000 permanent entries that a pod can't tell from others": table(
        entries=3003, forced_gc_runs=4, last_flush_seconds=3600.0
    ),
    "raised since it refused": busy(
        entries=2011, gc_thresh2=90_000, gc_thresh3=100_000, table_fulls=2412
    ),
    "a short burst of refusals long ago": table(
        entries=40, table_fulls=7, forced_gc_runs=14, last_flush_seconds=9000.0
    ),
    "110 idle pods, six multicast entries each": busy(family="ipv6", entries=540),
    "gc_thresh1 is 0, as clouds that reuse addresses set it": table(gc_thresh1=0),
    "between gc_thresh2 and 3, never collected, so exempt": table(entries=1000),
    "thresholds unknown, but gc_thresh2 was never reached": table(
        entries=2, gc_thresh1=None, gc_thresh2=None, gc_thresh3=None
    ),
    "an old kernel that counts no refusals, far from its limit": table(table_fulls=None),
    "a second look without a refusal": busy(
        entries=600, gc_thresh2=12_288, gc_thresh3=16_384, table_fulls=5, table_fulls_delta=0
    ),
}


@pytest.mark.parametrize("quiet", QUIET.values(), ids=QUIET)
def test_quiet(quiet: NeighborTable) -> None:
    assert [x for x in said(quiet) if isinstance(x, Finding | Unseen)] == []


LOUD = {
    "refusing between two looks": (
        busy(entries=1030, table_fulls=500, table_fulls_delta=485, look_seconds=2.0),
        ("refusing", Severity.CRITICAL, "refused 485 new neighbors within 2s"),
    ),
    "refusing though its entries say nothing": (
        busy(entries=1, table_fulls=500, table_fulls_delta=1, look_seconds=2.0),
        ("refusing", Severity.CRITICAL, "refused 1 new"),
    ),
    "full and has refused, by a single look": (
        busy(entries=1033, table_fulls=1),
        ("refusing", Severity.CRITICAL, "is full (1,033 entries, gc_thresh3 1,024)"),
    ),
    "near its limit": (busy(entries=961), ("near-limit", Severity.WARNING, "is 94% full")),
    "near its limit below gc_thresh2, as on Amazon Linux": (
        table(entries=15_000, gc_thresh1=0, gc_thresh2=15_360, gc_thresh3=16_384),
        ("near-limit", Severity.WARNING, "is 92% full"),
    ),
    "collected by force without success": (
        busy(entries=700),
        ("collecting", Severity.WARNING, "stays above gc_thresh2 512"),
    ),
    "has refused, limits still the default": (
        table(entries=71, table_fulls=1927, forced_gc_runs=1957, last_flush_seconds=9000.0),
        ("has-refused", Severity.WARNING, "its limit was never raised"),
    ),
    "has refused and is over half full again": (
        busy(entries=9000, gc_thresh2=12_288, gc_thresh3=16_384, table_fulls=3),
        ("has-refused", Severity.WARNING, "is over half full"),
    ),
}


@pytest.mark.parametrize(("loud", "expected"), LOUD.values(), ids=LOUD)
def test_found(loud: NeighborTable, expected: tuple[str, Severity, str]) -> None:
    (finding,) = findings(loud)
    code, severity, words = expected

    assert (finding.code, finding.severity) == (code, severity)
    assert finding.subject == "node/node-1"
    assert words in finding.message
    assert finding.remedy
    assert "sysctl -w net.ipv6.neigh.default.gc_thresh3=" in "\n".join(finding.remedy.commands)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("pristine", []),
        ("healthy", []),
        ("healthy_default", ["has-refused"]),
        ("near", ["near-limit"]),
        ("overflow", ["refusing"]),
        ("overflow_bridge_mesh", ["refusing"]),
        ("overflow_ipv6", ["has-refused", "refusing"]),
    ],
)
def test_a_recorded_table(recorded: str, expected: list[str]) -> None:
    tables = collect(Host(procfs=RECORDED / recorded / "proc"))

    spoken = list(check(tables, ALONE, ALONE, NeighborTableLimits()))

    assert [x.code for x in spoken if isinstance(x, Finding)] == expected
    assert not [x for x in spoken if isinstance(x, Unseen)]


@pytest.mark.parametrize(
    ("blind", "reason"),
    [
        pytest.param(
            busy(entries=3520), "most must be exempt", id="exempt entries that can't be seen"
        ),
        pytest.param(busy(gc_thresh2=None, gc_thresh3=None), "can't be read", id="no thresholds"),
        pytest.param(busy(table_fulls=None), "does not count refusals", id="an old kernel"),
    ],
)
def test_what_cannot_be_told_is_said(blind: NeighborTable, reason: str) -> None:
    (unseen,) = (x for x in said(blind) if isinstance(x, Unseen))

    assert reason in unseen.reason


def test_one_host_is_not_the_fleet() -> None:
    (unseen,) = (x for x in said(table(), nodes=cluster(1000)) if isinstance(x, Unseen))
    (usage,) = (x for x in said(table(), nodes=cluster(1000)) if isinstance(x, Usage))

    assert unseen.subject == "999 of 1,000 nodes"
    assert "serve node" in unseen.reason
    assert (usage.subject, usage.driver) == ("node/node-1", "nodes")


def test_a_host_outside_the_cluster_says_nothing_of_it() -> None:
    nodes = Nodes(nodes=(Node(name="other"),))
    spoken = said(busy(entries=1033, table_fulls=1), nodes=nodes)

    assert [x.subject for x in spoken if isinstance(x, Unseen)] == ["all 1 nodes"]
    assert [x.subject for x in spoken if isinstance(x, Finding)] == ["host/node-1"]
    assert not [x for x in spoken if isinstance(x, Usage)]


def fleet(*hosts: tuple[str, *tuple[NeighborTable, ...]]) -> FleetNeighborTables:
    return FleetNeighborTables(
        hosts=tuple(HostTables(host, tuple(tables)) for host, *tables in hosts),
        provenance="Prometheus",
    )


def judged(found: FleetNeighborTables | Missing, nodes: Nodes | Missing) -> list[Said]:
    """By Prometheus alone: from a machine whose own table could not be read."""
    return list(check(Missing(reason="no netlink"), found, nodes, NeighborTableLimits()))


def test_a_fleet_that_is_seen_whole_leaves_nothing_unseen() -> None:
    whole = fleet(*((f"node-{i}", table(entries=i)) for i in range(1, 101)))
    spoken = judged(whole, cluster(100))

    assert [x for x in spoken if not isinstance(x, Usage)] == []
    # One usage a pool: the fullest node's.
    assert [(x.subject, x.used) for x in spoken if isinstance(x, Usage)] == [("node/node-100", 100)]


def test_a_pool_that_is_in_trouble_is_one_finding() -> None:
    full = busy(entries=1030, table_fulls=9, table_fulls_delta=9, look_seconds=600)
    nodes = Nodes(
        nodes=tuple(Node(name=f"node-{i}", pool="big" if i < 40 else "small") for i in range(100))
    )
    hosts = [(f"node-{i}", full if i in (7, 8, 60) else table()) for i in range(100)]
    findings = [x for x in judged(fleet(*hosts), nodes) if isinstance(x, Finding)]

    assert [(x.code, x.severity, x.subject) for x in findings] == [
        ("refusing", Severity.CRITICAL, "pool/big"),
        ("refusing", Severity.CRITICAL, "node/node-60"),
    ]
    assert findings[0].message.startswith("2 of 40 nodes, e.g. node-7: the IPv4 (ARP) table")
    assert "refused 9 new neighbors within 600s" in findings[1].message


def test_nodes_without_an_exporter_stay_unseen_and_strangers_are_not_judged() -> None:
    full = busy(entries=1030, table_fulls=9)
    spoken = judged(fleet(("10.0.0.2", table()), ("elsewhere", full)), cluster(3))
    (unseen,) = (x for x in spoken if isinstance(x, Unseen))

    assert not [x for x in spoken if isinstance(x, Finding)]
    assert unseen.subject == "3 of 3 nodes"  # an address that is no node's


def test_a_target_goes_by_its_address_too() -> None:
    nodes = Nodes(nodes=(Node(name="node-1", addresses=("10.0.0.2", "fd00::2")),))

    assert [x for x in judged(fleet(("fd00::2", table())), nodes) if isinstance(x, Unseen)] == []


def test_this_host_is_judged_by_its_own_look() -> None:
    stale = busy(entries=1030, table_fulls=9)
    here = NeighborTables(host="node-1", tables=(table(),))
    spoken = list(check(here, fleet(("node-1", stale)), cluster(1), NeighborTableLimits()))

    assert [x for x in spoken if isinstance(x, Finding | Unseen)] == []


def test_a_prometheus_that_was_asked_in_vain_is_said() -> None:
    (unseen,) = judged(Missing(reason="connection refused"), cluster(5))

    assert isinstance(unseen, Unseen)
    assert (unseen.subject, unseen.reason) == ("5 of 5 nodes", "connection refused")


def test_a_cluster_that_could_not_be_asked_is_said() -> None:
    (unseen,) = (x for x in said(table(), nodes=Missing(reason="403")) if isinstance(x, Unseen))

    assert unseen.reason == "403"


def test_the_usage_is_what_can_count() -> None:
    usages = [x for x in said(busy(entries=3100, exempt=3000)) if isinstance(x, Usage)]

    assert [(u.limit_id, u.used, u.limit) for u in usages] == [("neighbor-ipv4", 100.0, 1024.0)]


def test_what_pods_devices_hold_does_not_grow_with_the_nodes() -> None:
    rows = (
        DeviceNeighbors("cali*", "reachable", True, 330),
        DeviceNeighbors("eth0", "stale", True, 600),
        DeviceNeighbors("vxlan.calico", "permanent", False, 1000),
    )
    spoken = said(
        busy(entries=2000, exempt=1000, gc_thresh2=3072, gc_thresh3=4096, devices=rows),
        nodes=cluster(1000),
    )
    (usage,) = (x for x in spoken if isinstance(x, Usage))
    by_device = {
        x.labels["device"]: (x.value, x.labels["counts"])
        for x in spoken
        if isinstance(x, Metric) and x.name == "neighbor_device_entries"
    }

    assert (usage.used, usage.fixed, usage.driver) == (1000, 400, "nodes")
    assert by_device == {
        "cali*": (330, "true"),
        "eth0": (600, "true"),
        "vxlan.calico": (1000, "false"),
    }


def test_the_remedy_lowers_no_limit_of_the_other_family() -> None:
    large = table(gc_thresh2=60_000, gc_thresh3=65_536)
    refusing = busy(family="ipv6", entries=1030, table_fulls=99)
    here = [x for x in said(large, refusing) if isinstance(x, Finding)]
    fleet_wide = [
        x for x in judged(fleet(("node-1", large, refusing)), cluster(1)) if isinstance(x, Finding)
    ]

    for finding in (*here, *fleet_wide):
        assert finding.remedy
        assert "net.ipv4.neigh.default.gc_thresh3 = 65536\n" in finding.remedy.manifest
        assert "net.ipv6.neigh.default.gc_thresh3 = 16384\n" in finding.remedy.manifest
    assert [f.code for f in (*here, *fleet_wide)] == ["refusing", "refusing"]


@pytest.mark.parametrize("whose", ["of this host", "of the fleet"])
@pytest.mark.parametrize(
    ("addresses", "growing"),
    [
        (("10.0.0.1",), {"neighbor-ipv4"}),
        (("10.0.0.1", "fd00::1"), {"neighbor-ipv4", "neighbor-ipv6"}),
        (("fd00::1",), {"neighbor-ipv6"}),
        ((), {"neighbor-ipv4", "neighbor-ipv6"}),  # they are not known
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, tuple) else "",
)
def test_idle_pods_multicast_entries_forecast_nothing(
    addresses: tuple[str, ...], growing: set[str], whose: str
) -> None:
    nodes = Nodes(nodes=(Node(name="node-1", addresses=addresses), Node(name="node-2")))
    tables = table(entries=300), table(entries=400, family="ipv6")
    if whose == "of this host":
        spoken = said(*tables, nodes=nodes)
    else:
        spoken = judged(fleet(("node-1", *tables)), nodes)
    usages = [x for x in spoken if isinstance(x, Usage)]

    assert {u.limit_id: u.used for u in usages} == {"neighbor-ipv4": 300, "neighbor-ipv6": 400}
    assert {u.limit_id for u in usages if u.fixed < u.used} == growing
    assert {u.limit_id for u in usages if u.driver == "nodes"} == growing


def test_what_is_unknown_has_no_series() -> None:
    metrics = {
        m.name: m.value
        for m in said(table(table_fulls=None, gc_thresh1=None))
        if isinstance(m, Metric)
    }

    assert metrics == {
        "neighbor_entries": 100.0,
        "neighbor_gc_thresh2": 512.0,
        "neighbor_gc_thresh3": 1024.0,
        "neighbor_forced_gc_runs_total": 0.0,
        "neighbor_last_flush_seconds": 86_400.0,
    }
