"""`dns trace --live` in a network namespace like a pod's, asking a real CoreDNS.

Its kubernetes plugin reads Services, EndpointSlices and Pods of a real API server. All names that
are not the cluster's are in a root zone of its own.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real import resolvers
from tests.real.apiserver import ADMINS, ApiServer
from tests.real.conftest import required
from tests.real.coredns import CoreDns
from tests.real.netns import Namespace

ZONE = """\
$ORIGIN .
@ 60 IN SOA ns. root. 1 60 60 60 60
@ 60 IN NS ns.
ns 60 IN A 192.0.2.53
www.example.com 60 IN A 192.0.2.1
*.text.example 60 IN TXT "any name is there, and none has an address"
*.wild.example 60 IN A 192.0.2.9
"""
COREFILE = """\
.:53 {
    bind ADDRESS
    health 127.0.0.1:{$HEALTH_PORT}
    prometheus 127.0.0.1:{$METRICS_PORT}
    log . "asked {type} {name}"
    AUTOPATH
    kubernetes cluster.local {
        kubeconfig KUBECONFIG test
        pods verified
    }
    file ZONE .
}
"""
CLUSTER = "shop.svc.cluster.local svc.cluster.local cluster.local"
SERVICE = {"ports": [{"name": "tcp", "port": 80}], "selector": {"app": "web"}}


@dataclass
class Pod:
    """A namespace, the CoreDNS in it, and what its resolv.conf says."""

    namespace: Namespace
    dns: CoreDns
    folder: Path

    def run(self, *command: str, search: str = CLUSTER) -> subprocess.CompletedProcess[str]:
        """A command that sees this pod's resolv.conf."""
        own = self.folder / "resolv.conf"
        own.write_text(f"nameserver {self.namespace.address}\nsearch {search}\noptions ndots:5\n")
        enter = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        inside: list[str | Path] = ["unshare", "--mount", "sh", "-c", enter, own, *command]
        return subprocess.run(
            self.namespace.command(*inside),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def trace(self, name: str, *more: str, search: str = CLUSTER) -> tuple[int, Any]:
        command = [sys.executable, "-m", "k8sdiag", "dns", "trace", name, "--live", "-o", "json"]
        done = self.run(*command, *more, search=search)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def asked(self) -> list[tuple[str, str]]:
        """What CoreDNS says that it was asked so far."""
        return re.findall(r"asked (\S+) (\S+)", self.dns.log.read_text())


@pytest.fixture(scope="module")
def objects(api_server: ApiServer) -> Iterator[None]:
    core = "/api/v1/namespaces"
    slices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
    api_server.admin.create(core, {"metadata": {"name": "shop"}})
    shop = f"{core}/shop/services"
    for name, extra in (("db", {}), ("peers", {"clusterIP": "None"})):
        api_server.admin.create(shop, {"metadata": {"name": name}, "spec": SERVICE | extra})
    made = {
        "metadata": {"name": "peers-1", "labels": {"kubernetes.io/service-name": "peers"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.21"], "conditions": {"ready": True}}],
        "ports": [{"name": "tcp", "port": 80}],
    }
    api_server.admin.create(slices, made)
    yield
    api_server.admin.delete(f"{slices}/peers-1")
    for name in ("db", "peers"):
        api_server.admin.delete(f"{shop}/{name}")


Start = Callable[..., Pod]


@pytest.fixture
def start_pod(
    api_server: ApiServer,
    objects: None,
    make_netns: Callable[..., Namespace],
    start_coredns: Callable[..., CoreDns],
    tmp_path: Path,
) -> Iterator[Start]:
    """start_pod(autopath=False): a pod of namespace shop, as the API server knows it too."""
    pods = "/api/v1/namespaces/shop/pods"

    def start(*, autopath: bool = False) -> Pod:
        namespace = make_netns(cable=True)
        spec = {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]}
        made = api_server.admin.create(pods, {"metadata": {"name": "web"}, "spec": spec})
        status = {"phase": "Running", "podIP": namespace.address}
        status |= {"podIPs": [{"ip": namespace.address}]}  # type: ignore[dict-item]
        api_server.admin.put_status(f"{pods}/web", made | {"status": status})
        (tmp_path / "zone").write_text(ZONE)
        kubeconfig = api_server.kubeconfig(
            "coredns",
            [ADMINS],
            server=f"https://{namespace.host_address}:{api_server.port}",
            server_name="localhost",
        )
        words = {"ADDRESS": namespace.address, "KUBECONFIG": str(kubeconfig)}
        words |= {"ZONE": str(tmp_path / "zone")}
        words |= {"AUTOPATH": "autopath @kubernetes" if autopath else ""}
        corefile = re.sub("|".join(words), lambda found: words[found[0]], COREFILE)
        return Pod(namespace, start_coredns(corefile, namespace=namespace), tmp_path)

    yield start
    api_server.admin.raw("DELETE", f"{pods}/web?gracePeriodSeconds=0")


def sent(walk: Any) -> list[tuple[str, str]]:
    return [(step["qtype"], step["qname"]) for step in walk["steps"]]


def test_the_live_walk_is_the_predicted_one_and_that_of_the_real_resolver(
    start_pod: Start,
) -> None:
    pod = start_pod()

    code, found = pod.trace("www.example.com")
    traced = pod.asked()
    with required():
        getent, ahosts, _ = resolvers.getent()
    assert pod.run(getent, ahosts, "www.example.com").returncode == 0
    real = pod.asked()[len(traced) :]

    (predicted,), (live,) = found["predicted"], found["live"]
    assert code == 0
    assert live["resolver"] == "glibc"
    assert sent(live) == sent(predicted) == traced[:8]
    # glibc sends A and AAAA together, and CoreDNS answers, and logs, both at once.
    pairs = [sorted(real[i : i + 2]) for i in range(0, len(real), 2)]
    assert [query for pair in pairs for query in pair] == sent(predicted)
    assert (live["queries"], live["needed"], live["found"]) == (8, 2, "www.example.com.")
    assert [s["reply"]["said"] for s in live["steps"]] == ["NXDOMAIN"] * 6 + ["NOERROR", "NODATA"]
    assert all(0 < s["reply"]["seconds"] < 1 for s in live["steps"])
    assert [set(p["answers"]) for p in found["probes"]] == [{"A", "AAAA"}] * 3
    assert found["findings"] == []


@pytest.mark.parametrize(
    ("name", "queries", "full"),
    [
        ("db", 2, "db.shop.svc.cluster.local."),
        ("db.shop", 4, "db.shop.svc.cluster.local."),
        ("peers.shop.svc", 6, "peers.shop.svc.cluster.local."),
    ],
)
def test_a_service_is_found_where_it_is(
    start_pod: Start, name: str, queries: int, full: str
) -> None:
    code, found = start_pod().trace(name, "--assume", f"{full}=ok")

    (predicted,), (live,) = found["predicted"], found["live"]
    assert code == 0
    assert sent(live) == sent(predicted)
    assert (live["found"], live["queries"]) == (full, queries)


def test_autopath_walks_the_list_in_the_server(start_pod: Start) -> None:
    pod = start_pod(autopath=True)

    code, found = pod.trace("www.example.com", "--resolver", "glibc", "--resolver", "go")
    table = pod.run(sys.executable, "-m", "k8sdiag", "dns", "trace", "www.example.com", "--live")

    assert code == 0
    assert [walk["queries"] for walk in found["predicted"]] == [8, 8]
    assert [walk["queries"] for walk in found["live"]] == [2, 2]
    assert (
        "8 were predicted: the server itself walked the search list to www.example.com. (auto"
        in (table.stdout)
    )
    assert found["findings"] == []


def test_search_domains_that_do_not_say_nxdomain_are_found_with_whom_they_break(
    start_pod: Start,
) -> None:
    pod = start_pod()

    code, found = pod.trace(
        "www.example.com", "--resolver", "musl", search="text.example wild.example"
    )

    messages = {f["code"]: f["message"] for f in found["findings"]}
    assert code == 1
    assert messages["dns-trace/search-domain"] == (
        "text.example. says NODATA of a name that does not exist, not NXDOMAIN: a lookup that "
        "walks past it fails in musl (Alpine)"
    )
    assert messages["dns-trace/wildcard"].startswith("wild.example. gives 192.0.2.9 for a name")
    assert messages["dns-trace/fails"].startswith('no address for "www.example.com" in musl')
    assert not found["live"][0]["ok"]


def test_a_pod_s_file_is_made_from_what_the_api_tells(
    api_server: ApiServer, start_pod: Start, tmp_path: Path
) -> None:
    start_pod()
    node = tmp_path / "node.conf"
    node.write_text("nameserver 192.0.2.53\nsearch corp.example\n")
    kubeconfig = api_server.kubeconfig("tracer", [ADMINS])
    command = [sys.executable, "-m", "k8sdiag", "dns", "trace", "www.example.com", "-o", "json"]
    command += ["--pod", "shop/web", "--kubeconfig", str(kubeconfig)]

    done = subprocess.run(
        [*command, "--node-resolv-conf", str(node)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"search {CLUSTER} corp.example\noptions ndots:5\n" in found["resolvConf"]["text"]
    assert [(w["resolver"], w["queries"]) for w in found["predicted"]] == [
        ("glibc", 10),
        ("musl", 10),
        ("go", 10),
    ]
    assert any("--node-resolv-conf" in note for note in found["notes"])
