"""Real overflows of this kernel's neighbor tables, in network namespaces of the tests' own.

The thresholds are one per kernel: they are lowered in the initial namespace for some seconds and
restored whatever happens, also when this process is killed.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8sdiag.facts.neighbor import NeighborTable
from k8sdiag.readers.host import Host
from k8sdiag.sources import neighbor_netlink, neighbor_procfs
from tests.real.bed import need_root
from tests.real.conftest import required
from tests.real.netns import Namespace

NOBODY = str(Path(__file__).with_name("nobody.py"))
MakeNamespace = Callable[..., Namespace]
LIMIT = 256  # high enough for what else runs here, for the few seconds of a test
FAMILIES = {"ipv4": ("10.200.{}.{}", 16), "ipv6": ("fd00:200::{:x}:{:x}", 64)}

# Waits for the end of its stdin, which comes also when the test is killed, and then restores.
RESTORE = "cat >/dev/null; while [ $# -gt 0 ]; do echo $2 > $1; shift 2; done"
# One datagram to a new neighbor every 20 ms: each is one refusal of a full table.
KNOCK = """
import itertools, socket, sys, time
door = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for i in itertools.cycle(range(1, 250)):
    try:
        door.sendto(b"x", (sys.argv[1].format(200, i), 9))
    except OSError:
        pass
    time.sleep(0.02)
"""


@pytest.fixture
def pod(make_netns: MakeNamespace) -> Namespace:
    """A namespace with a network of its own, on which nobody answers."""
    namespace = make_netns()
    namespace.run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
    for template, prefix in FAMILIES.values():
        address = f"{template.format(255, 1)}/{prefix}"
        namespace.run("ip", "address", "add", address, "dev", "va", *("nodad",) * (":" in address))
    for link in ("va", "vb"):
        namespace.run("ip", "link", "set", link, "up")
    return namespace


def thresholds(family: str) -> dict[Path, str]:
    folder = Path(f"/proc/sys/net/{family}/neigh/default")
    with required():
        if not folder.is_dir():
            pytest.skip(f"this kernel has no {family}")
    return {folder / f"gc_thresh{n}": (folder / f"gc_thresh{n}").read_text() for n in (1, 2, 3)}


@contextmanager
def lowered(family: str) -> Iterator[None]:
    before = thresholds(family)
    pairs = [str(word).strip() for pair in before.items() for word in pair]
    keeper = subprocess.Popen(
        ["sh", "-c", RESTORE, "sh", *pairs], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        for path, value in zip(before, (LIMIT // 4, LIMIT // 2, LIMIT), strict=True):
            path.write_text(str(value))
        yield
    finally:
        keeper.communicate()
    assert thresholds(family) == before


def fill(pod: Namespace, family: str, count: int, state: str) -> None:
    """Add so many neighbors; what the kernel refuses is not there afterwards."""
    template = FAMILIES[family][0]
    addresses = (template.format(a, b) for a, b in itertools.product(range(1, 200), range(1, 250)))
    lines = (
        f"neigh add {address} lladdr 02:00:00:00:00:01 dev va nud {state}\n"
        for address in itertools.islice(addresses, count)
    )
    batch = pod.command("ip", "-force", "-batch", "-")
    subprocess.run(batch, input="".join(lines), capture_output=True, text=True, check=False)


def table(family: str) -> NeighborTable:
    return next(t for t in neighbor_netlink.read() if t.family == family)


@contextmanager
def knocking(pod: Namespace, family: str) -> Iterator[None]:
    """Somebody in the pod talks to new neighbors all the time."""
    knocker = subprocess.Popen(
        pod.command(sys.executable, "-c", KNOCK, FAMILIES[family][0]), start_new_session=True
    )
    try:
        yield
    finally:
        knocker.kill()
        knocker.wait()


def seen_from(bystander: Namespace) -> tuple[int, set[str], str]:
    """What k8sdiag says in another namespace as nobody: exit code, findings, status."""
    command = [sys.executable, NOBODY, "node", "--check=neighbor-table", "-o", "json"]
    done = subprocess.run(
        bystander.command(*command),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    (outcome,) = json.loads(done.stdout)["outcomes"]
    return done.returncode, {f["code"] for f in outcome["findings"]}, outcome["status"]


@pytest.mark.parametrize("family", FAMILIES)
def test_3000_permanent_entries_are_nobodys_concern(
    family: str, pod: Namespace, make_netns: MakeNamespace
) -> None:
    thresholds(family)
    refused = table(family).table_fulls

    fill(pod, family, 3000, "permanent")
    code, findings, _ = seen_from(make_netns())

    assert table(family).entries >= 3000
    assert table(family).table_fulls == refused
    # An earlier overflow of the same boot stays known.
    assert findings <= {"neighbor-table/has-refused"}
    assert code in (0, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_full_table_is_seen_by_nobody_in_another_namespace(
    family: str, pod: Namespace, make_netns: MakeNamespace
) -> None:
    bystander = make_netns()
    with lowered(family):
        code, before, status = seen_from(bystander)
        assert before <= {"neighbor-table/has-refused"}
        assert (code, status) in [(0, "ok"), (0, "findings")]

        fill(pod, family, 2 * LIMIT, "reachable")
        assert LIMIT <= table(family).entries < LIMIT + 32  # those of loopback devices are extra
        with knocking(pod, family):
            code, full, status = seen_from(bystander)
        assert "neighbor-table/refusing" in full
        assert (code, status) == (1, "findings")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_does_not_count_is_told_from_what_does(family: str, pod: Namespace) -> None:
    thresholds(family)
    here = (
        "from k8sdiag.sources._neighbor_dump import read; "
        f"print(sum(e.entries for e in read('{family}') if not e.counts))"
    )
    before = int(pod.run(sys.executable, "-c", here))

    fill(pod, family, 30, "permanent")
    template = FAMILIES[family][0]
    for i in range(1, 6):
        address = template.format(201, i)
        learned = ("lladdr", "02:00:00:00:00:01", "dev", "va", "extern_learn")
        pod.run("ip", "neigh", "add", address, *learned)
    pod.run("ip", "neigh", "add", template.format(202, 1), *learned[:-1], "nud", "reachable")

    assert int(pod.run(sys.executable, "-c", here)) == before + 35


def test_many_devices_make_no_second_table(pod: Namespace) -> None:
    """The kernel tells the table anew in each datagram of a long reply."""
    for i in range(150):
        pod.run("ip", "link", "add", f"v{i}", "type", "veth", "peer", "name", f"w{i}")
    here = (
        "from k8sdiag.readers import netlink; from k8sdiag.sources import neighbor_netlink as n; "
        "print(sum(b'arp_cache' in p and len(netlink.attributes(p[4:]).get(5, b'')) > 0 "
        "for _, p in netlink.dump(66, bytes(4))), [t.family for t in n.read()])"
    )

    told, tables = pod.run(sys.executable, "-c", here).split(" ", 1)

    assert int(told) > 1
    assert tables.strip() == "['ipv4', 'ipv6']"


def test_entries_by_device_are_the_node_s_and_never_a_pod_s(
    pod: Namespace, make_netns: MakeNamespace
) -> None:
    with required():
        need_root("neighbor entries")
    inside = "from k8sdiag.readers.host import Host; from k8sdiag.sources import neighbor_netlink"
    inside += "; print(neighbor_netlink.collect(Host(look_seconds=0, neighbors=True)))"
    fill(pod, "ipv4", 50, "permanent")

    assert "run with hostNetwork" in pod.run(sys.executable, "-c", inside)
    here = neighbor_netlink.collect(Host(look_seconds=0, neighbors=True))
    told = subprocess.run(
        ["ip", "-4", "neigh", "show", "nud", "all"], capture_output=True, text=True, check=True
    )
    assert here.gaps == {}
    assert abs(sum(d.entries for d in here.tables[0].devices) - len(told.stdout.splitlines())) < 5


def test_files_and_netlink_tell_the_same() -> None:
    thresholds("ipv4")
    by_netlink = {t.family: t for t in neighbor_netlink.collect(Host(look_seconds=0)).tables}
    by_files = {t.family: t for t in neighbor_procfs.collect(Host()).tables}

    assert by_netlink.keys() == by_files.keys()
    for family, told in by_files.items():
        for field in ("gc_thresh1", "gc_thresh2", "gc_thresh3", "table_fulls"):
            assert getattr(told, field) == getattr(by_netlink[family], field)
        assert abs(told.entries - by_netlink[family].entries) < 50  # neighbors come and go


def test_the_command_counts_by_device(tmp_path: Path) -> None:
    with required():
        need_root("a device")
    name = "kdneigh0"
    subprocess.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "kdneigh1"], check=True
    )
    try:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        for i in range(1, 4):
            entry = ["ip", "neigh", "add", f"198.18.7.{i}", "lladdr", "02:00:00:00:00:01"]
            subprocess.run([*entry, "dev", name, "nud", "permanent"], check=True)
        command = [sys.executable, "-m", "k8sdiag", "node", "--check=neighbor-table", "--neighbors"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)

    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["ipv4", name, "permanent", "no", "3"] in rows, done.stderr
