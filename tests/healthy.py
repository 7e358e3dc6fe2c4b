"""The facts of a healthy cluster of any size: nothing in it is a finding, and all of it was seen.

The settings are those that the checks' pages ask for at that size. Everything grows with `nodes`
but the host.
"""

from array import array
from datetime import UTC, datetime
from math import ceil
from typing import Any

from k8sdiag.facts.api_traffic import ApiTraffic, Calls, Level
from k8sdiag.facts.cluster import Backends, ControlPlane, ServiceEndpoints, Services
from k8sdiag.facts.control_plane_logs import ControlPlaneLogs, PodLog
from k8sdiag.facts.coredns import (
    Autoscaler,
    CoreDNS,
    CoreDNSTraffic,
    Corefile,
    Plugin,
    Replica,
    ReplicaTraffic,
    ServerBlock,
)
from k8sdiag.facts.dns import ClusterDNS, NodeResolvConf
from k8sdiag.facts.etcd import (
    APIServerPod,
    EtcdBackup,
    EtcdBackups,
    EtcdMember,
    EtcdMembers,
    EtcdPerformance,
    EtcdPod,
    EtcdPods,
    EtcdSeenByAPIServer,
    MemberPerformance,
)
from k8sdiag.facts.etcd_history import EtcdHistory, SizeSample
from k8sdiag.facts.etcd_objects import EtcdObjects, StoredResource
from k8sdiag.facts.fleet import FleetLimit, FleetLimits, Reading
from k8sdiag.facts.image_policies import ImagePolicies, Vulnerabilities
from k8sdiag.facts.kernel import (
    Conntrack,
    Drops,
    EphemeralPorts,
    FileHandles,
    Inotify,
    InotifyUse,
    PacketDrops,
    Threads,
)
from k8sdiag.facts.kubelet import HostKubelet, Kubelet, KubeletConfigs, KubeletSettings
from k8sdiag.facts.neighbor import (
    BootThresholds,
    BootValue,
    FleetNeighborTables,
    HostTables,
    NeighborTable,
    NeighborTables,
)
from k8sdiag.facts.nodes import Image, Node, Nodes
from k8sdiag.facts.pods import Container, DNSConfig, Pods, Profile, Workload, pack
from k8sdiag.facts.pull_failures import PullFailures
from k8sdiag.facts.pulls import ImagePulls, PullTimes
from k8sdiag.facts.runtime import HostRuntime, Runtime
from k8sdiag.model import Fact, Snapshot

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PODS_PER_NODE = 24
WORKLOADS = 40
MASTERS = 3
HOST = "node-0002"  # one of the control plane, so that the smallest cluster has it
GIB, MIB = 1 << 30, 1 << 20
KUBELET = KubeletSettings(
    serialize_image_pulls=False,
    max_parallel_image_pulls=5,
    registry_pull_qps=20,
    registry_burst=40,
    node_status_max_images=50,
    image_gc_high_threshold_percent=85,
    resolv_conf="/etc/resolv.conf",
    sources={"serialize_image_pulls": "/var/lib/kubelet/config.yaml"},
)
THRESHOLDS = (1024, 40960, 81920)


def snapshot(nodes: int = 50, **changes: Fact) -> Snapshot:
    """All facts, by the names of their types; `changes` take the place of some."""
    found: list[Fact] = [
        *_objects(nodes),
        *_etcd(nodes),
        *_dns(nodes),
        *_images(),
        *_host(),
        *_fleet(nodes),
    ]
    facts: dict[str, Any] = {type(fact).__name__: fact for fact in found}
    return Snapshot(cluster="healthy", taken_at=NOW, facts=facts | changes)


def node_names(count: int) -> list[str]:
    return [f"node-{i:04}" for i in range(count)]


def _objects(count: int) -> list[Fact]:
    images = tuple(
        Image(names=(f"registry.example/app-{i}:1.{i}",), size_bytes=(50 + i) * MIB)
        for i in range(WORKLOADS + 1)
    )
    nodes = tuple(
        Node(
            name=name,
            pool="masters" if i < MASTERS else "workers",
            zone=f"zone-{'abc'[i % 3]}",
            os_image="Debian GNU/Linux 13 (trixie)",
            arch="amd64",
            kernel="6.12.48",
            kubelet="v1.36.3",
            runtime="containerd://2.1.4",
            cpus=32.0 if i < MASTERS else 16.0,
            memory_bytes=64 * GIB,
            disk_bytes=200 * GIB,
            max_pods=110,
            control_plane=i < MASTERS,
            pod_cidrs=(f"10.{128 + i // 256}.{i % 256}.0/24",),
            images=tuple(range(len(images))),
            kubelet_port=10250,
            addresses=(f"172.{16 + i // 65536}.{i // 256 % 256}.{i % 256}",),
        )
        for i, name in enumerate(node_names(count))
    )
    pods = _pods(count)
    services = 20 + count // 2
    return [
        Nodes(nodes=nodes, images=images, server="v1.36.3"),
        pods,
        Services(
            by_namespace={f"team-{i}": services // 8 for i in range(8)},
            cluster_ips={"ipv4": services},
            ranges=("10.96.0.0/16",),
        ),
        ServiceEndpoints(
            largest=(Backends(subject="service/team-0/app-0", endpoints=100),), slices=services
        ),
        ControlPlane(
            api_servers=MASTERS,
            cluster_cidrs=("10.128.0.0/11",),
            node_masks={"ipv4": 24},
            allocates=True,
            proxy_mode="nftables",
        ),
        ControlPlaneLogs(
            logs=tuple(
                PodLog(
                    pod=f"kube-system/{component}-{i}", component=component, lines=2000, since=NOW
                )
                for component in ("etcd", "kube-apiserver")
                for i in range(MASTERS)
            ),
            read_at=NOW,
        ),
        ApiTraffic(
            window_seconds=300.0,
            servers=MASTERS,
            calls=tuple(
                Calls(
                    resource="pods",
                    verb=verb,
                    scope=scope,
                    requests=1000.0,
                    within=((1.0, 1000.0), (30.0, 1000.0)),
                )
                for verb, scope in (("GET", "resource"), ("PUT", "resource"), ("LIST", "cluster"))
            ),
            levels=(Level(name="workload-high", requests=1000.0),),
        ),
    ]


def _pods(count: int) -> Pods:
    """On each node a daemon and pods of the workloads, which are spread over eight namespaces."""
    daemon = Profile(
        workload=Workload("kube-system", "DaemonSet", "cni"),
        host_network=True,
        priority_class="system-node-critical",
        containers=(Container(f"registry.example/app-{WORKLOADS}:1.{WORKLOADS}", "IfNotPresent"),),
    )
    profiles = [
        Profile(
            workload=Workload(f"team-{i}", "Deployment", f"app-{i}"),
            dns_config=DNSConfig(options=(("ndots", "2"),)),
            containers=(Container(f"registry.example/app-{i}:1.{i}", "IfNotPresent"),),
        )
        for i in range(WORKLOADS)
    ]
    of, on = array("I"), array("I")
    for node in range(count):
        of.append(len(profiles))
        on.append(node)
        for pod in range(PODS_PER_NODE - 1):
            of.append((node * PODS_PER_NODE + pod) % WORKLOADS)
            on.append(node)
    return Pods(
        profiles=(*profiles, daemon),
        nodes=tuple(node_names(count)),
        profile_column=pack(of),
        node_column=pack(on),
        created_column=pack(array("I", [int(NOW.timestamp()) - 86400] * len(of))),
    )


def _etcd(count: int) -> list[Fact]:
    """Events have an etcd of their own, on the same three machines."""
    stores = {"main": (2379, GIB), "events": (2382, GIB // 2)}
    members = [
        EtcdMember(
            id=f"{store}{i}",
            cluster_id=store,
            name=f"{store}-{i}",
            endpoint=f"https://172.16.0.{i}:{port}",
            version="3.6.16",
            db_bytes=size,
            in_use_bytes=size - size // 4,
            quota_bytes=8 * GIB,
            quota_source="Status",
            leading=i == 0,
            alarms=(),
            revision=5_000_000,
            raft_index=9_000_000,
            raft_applied_index=9_000_000,
        )
        for store, (port, size) in stores.items()
        for i in range(MASTERS)
    ]
    quick = ((0.001, 0.0), (0.008, 995.0), (0.064, 1000.0), (0.128, 1000.0), (8.192, 1000.0))
    at = NOW.timestamp()
    return [
        EtcdMembers(members=tuple(members)),
        EtcdPerformance(
            members=tuple(
                MemberPerformance(
                    name=m.name,
                    endpoint=m.endpoint,
                    window_seconds=300.0,
                    fsyncs=quick,
                    commits=quick,
                    leader_changes=0.0,
                    leader_seconds=900.0,
                    clock_ahead_seconds=(-0.5, 0.5),
                )
                for m in members
            )
        ),
        EtcdSeenByAPIServer(db_bytes={"etcd-0": GIB, "etcd-1": GIB // 2}, server="v1.36.3"),
        EtcdPods(
            etcds=tuple(
                EtcdPod(
                    name=f"etcd-{m.name}",
                    namespace="kube-system",
                    node=f"node-000{m.name[-1]}",
                    version="3.6.16",
                    quota_bytes=8 * GIB,
                    quota_source="--quota-backend-bytes",
                    client_urls=(m.endpoint,),
                )
                for m in members
            ),
            api_servers=tuple(
                APIServerPod(name=f"kube-apiserver-{i}", node=f"node-000{i}", events_apart=True)
                for i in range(MASTERS)
            ),
        ),
        EtcdHistory(
            sizes={
                f"etcd/{m.name}": tuple(
                    SizeSample(at=at - age, db_bytes=m.db_bytes, in_use_bytes=m.in_use_bytes)
                    for age in (86400.0, 43200.0, 0.0)
                )
                for m in members
            }
        ),
        EtcdObjects(
            resources=(
                StoredResource(
                    name="pods", objects=count * PODS_PER_NODE, size_bytes=count * 10**5
                ),
                StoredResource(name="events", objects=count * 10, size_bytes=count * 10**4),
                StoredResource(name="namespaces", objects=12, size_bytes=12_000),
            ),
            provenance="the API server's /metrics",
        ),
        EtcdBackups(
            backups=(EtcdBackup(subject="cronjob/kube-system/etcd-backup", age_seconds=3600.0),)
        ),
    ]


def _dns(count: int) -> list[Fact]:
    names = node_names(count)
    wanted = max(2, ceil((count * 16 + 48) / 256), ceil(count / 16))
    replicas = tuple(
        Replica(
            pod=f"coredns-{i}",
            node=names[i % len(names)],
            addresses=(f"10.128.0.{i}",),
            ready=True,
        )
        for i in range(wanted)
    )
    forward = Plugin("forward", (".", "/etc/resolv.conf"), (("max_concurrent", "1000"),))
    kubernetes = Plugin("kubernetes", ("cluster.local",), (("pods", "insecure"),))
    block = ServerBlock((".",), (kubernetes, forward, Plugin("cache", ("30",)), Plugin("loop")))
    quick = ((0.001, 400.0), (0.008, 500.0), (0.128, 500.0))
    return [
        CoreDNS(
            service="kube-system/kube-dns",
            addresses=("10.96.0.10",),
            selector={"k8s-app": "kube-dns"},
            workload=Workload("kube-system", "Deployment", "coredns"),
            container="coredns",
            image="registry.k8s.io/coredns/coredns:v1.14.0",
            memory_limit_bytes=512 * MIB,
            replicas=replicas,
            budgets=("coredns",),
            corefile=Corefile("kube-system/coredns", (block,)),
            autoscaler=Autoscaler(
                config_map="kube-system/kube-dns-autoscaler",
                cores_per_replica=256.0,
                nodes_per_replica=16.0,
                least=2,
            ),
            services=20 + count // 2,
        ),
        CoreDNSTraffic(
            replicas=tuple(
                ReplicaTraffic(
                    pod=r.pod,
                    requests=500.0,
                    responses={"NOERROR": 400.0, "NXDOMAIN": 100.0},
                    buckets=quick,
                    cache_hits=450.0,
                    cache_requests=500.0,
                    forwarded=2.0,
                    resident_bytes=60 * MIB,
                )
                for r in replicas
            ),
            window_seconds=300.0,
            provenance="Prometheus",
        ),
        ClusterDNS(domain="cluster.local", servers=("10.96.0.10",), configured=True),
        NodeResolvConf(node=HOST, path="/etc/resolv.conf", nameservers=("172.16.255.1",)),
    ]


def _images() -> list[Fact]:
    kubelets = tuple(
        Kubelet(node=name, pool=pool, version="v1.36.3", settings=KUBELET)
        for name, pool in ((HOST, "masters"), ("node-0003", "workers"))
    )
    return [
        KubeletConfigs(kubelets=kubelets),
        HostKubelet(node=HOST, running=True, settings=KUBELET),
        HostRuntime(
            node=HOST,
            runtime=Runtime(
                name="containerd",
                version="2.1.4",
                max_concurrent_downloads=10,
                downloads_per="node",
                progress_timeout_seconds=300.0,
                local_pulls=False,
            ),
        ),
        ImagePolicies(policies=()),
        Vulnerabilities(installed=True, reports=10),
        ImagePulls(pulls=()),
        PullTimes(classes=()),
        PullFailures(failures=()),
    ]


def _host() -> list[Fact]:
    name = "net.ipv4.neigh.default.gc_thresh{}".format
    return [
        NeighborTables(host=HOST, tables=_tables()),
        BootThresholds(
            values={
                name(i + 1): BootValue(value, "/etc/sysctl.d/90-neighbors.conf")
                for i, value in enumerate(THRESHOLDS)
            }
        ),
        Conntrack(host=HOST, limit=262144, entries=9000, drops=0, drops_delta=0, look_seconds=2.0),
        Threads(host=HOST, threads=3000, threads_max=500_000, pid_max=4_194_304),
        FileHandles(host=HOST, allocated=20_000, limit=9_223_372_036_854_775_807),
        EphemeralPorts(host=HOST, first=32768, last=60999, sockets=900),
        Inotify(
            host=HOST,
            max_instances=8192,
            max_watches=524_288,
            users=(InotifyUse(0, 120, 3000),),
            processes=400,
        ),
        PacketDrops(host=HOST, listen=Drops(delta=0), softnet=Drops(delta=0), look_seconds=2.0),
    ]


def _tables() -> tuple[NeighborTable, ...]:
    first, second, third = THRESHOLDS
    return (
        NeighborTable(
            family="ipv4",
            entries=600,
            exempt=20,
            gc_thresh1=first,
            gc_thresh2=second,
            gc_thresh3=third,
            table_fulls=0,
            table_fulls_delta=0,
            look_seconds=2.0,
            forced_gc_runs=0,
        ),
    )


def _fleet(count: int) -> list[Fact]:
    """Every node's exporter tells Prometheus the same of its node."""
    limits = {
        "conntrack": (9000.0, 262144.0),
        "threads": (3000.0, 500_000.0),
        "file-handles": (20_000.0, 9.2e18),
        "inotify-instances": (120.0, 8192.0),
        "inotify-watches": (3000.0, 524_288.0),
        "ephemeral-ports": (900.0, 28_232.0),
        "listen-overflow": (0.0, 0.0),
        "softnet-drops": (0.0, 0.0),
    }
    names = node_names(count)
    return [
        FleetNeighborTables(hosts=tuple(HostTables(name, _tables()) for name in names)),
        FleetLimits(
            limits={
                limit_id: FleetLimit(
                    tuple(
                        Reading(names=(n,), source="k8sdiag", used=used, limit=limit, seconds=300.0)
                        for n in names
                    )
                )
                for limit_id, (used, limit) in limits.items()
            },
            provenance="Prometheus",
        ),
    ]
