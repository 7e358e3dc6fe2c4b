"""Reports that every format is tried on."""

from datetime import UTC, datetime

from k8sdiag.model import (
    Cost,
    Finding,
    Metric,
    Outcome,
    Remedy,
    Report,
    Severity,
    Status,
    Usage,
)

GIB = 2**30
ETCD = Usage(
    limit_id="etcd-db-size",
    subject="etcd/etcd-0",
    used=1.9 * GIB,
    limit=2.0 * GIB,
    unit="bytes",
    driver="time",
    source="Status of the member and its /metrics",
)
NEIGHBORS = Usage(
    limit_id="neighbor-ipv4",
    subject="node/ip-10-0-0-7",
    used=960,
    limit=1024,
    unit="entries",
    driver="nodes",
    fixed=160,
    source="netlink RTM_GETNEIGHTBL",
)
PULLS = Usage(
    limit_id="image-pull-cold-start",
    subject="node-pool/gpu",
    used=7_500,
    limit=3_600,
    unit="seconds",
    driver="pods_per_node",
    source="images of the pods, kubelet settings",
)
UNUSED = Usage(
    limit_id="neighbor-ipv6",
    subject="node/ip-10-0-0-7",
    used=0,
    limit=1024,
    unit="entries",
    driver="nodes",
    source="netlink RTM_GETNEIGHTBL",
)


def report(*outcomes: Outcome, cluster: str = "prod-1", lab: str = "") -> Report:
    return Report(
        cluster=cluster,
        taken_at=datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC),
        version="0.1.0",
        outcomes=outcomes,
        scale={"nodes": 1000.0, "pods": 20_000.0, "pods_per_node": 20.0},
        cost=Cost(api_requests=45, api_bytes=131_000_000, seconds=12.34, peak_rss_bytes=98 * 2**20),
        lab=lab,
    )


def outcome(check: str, status: Status = Status.OK, reason: str = "", **said: object) -> Outcome:
    return Outcome(
        check=check,
        title=f"What {check} finds",
        status=status,
        reason=reason,
        duration_seconds=0.25,
        **said,  # type: ignore[arg-type]
    )


CLEAN = report(outcome("neighbor-table", usages=(NEIGHBORS, UNUSED)), outcome("plain"))

NOTHING_JUDGED = report(
    outcome("etcd-quota", Status.SKIPPED, "etcd was not asked: give --etcd-endpoints"),
    outcome("dns-search", Status.SKIPPED, 'the user "system:anonymous" may not "list" on "pods"'),
    outcome("acme", Status.ERROR, "k8sdiag_acme does not import: ModuleNotFoundError('acme')"),
    outcome("neighbor-table", Status.PARTIAL, "node-7: timed out after 5s; and 12 more"),
)

FOUR_FAILURES = report(
    outcome(
        "etcd-quota",
        Status.FINDINGS,
        "etcd-2: deadline of 5s",
        findings=(
            Finding(
                code="etcd-quota/nospace",
                severity=Severity.CRITICAL,
                subject="etcd/etcd-0",
                message="NOSPACE is raised: the API takes no write; 1.9 GiB of 2 GiB is used.",
                observed=1.9 * GIB,
                limit=2.0 * GIB,
                remedy=Remedy(
                    summary="Compact, defragment one member at a time, then disarm.",
                    commands=(
                        "etcdctl --endpoints=https://10.0.0.1:2379 defrag",
                        "etcdctl --endpoints=https://10.0.0.1:2379 alarm disarm",
                    ),
                ),
                docs="docs/checks/etcd-quota.md",
            ),
        ),
        usages=(ETCD,),
        metrics=(
            Metric(
                name="etcd_db_bytes",
                help="Size of the database file.",
                value=1.9 * GIB,
                labels={"member": "etcd-0"},
            ),
        ),
    ),
    outcome(
        "image-pull",
        Status.FINDINGS,
        findings=(
            Finding(
                code="image-pull/serial",
                severity=Severity.CRITICAL,
                subject="node-pool/gpu",
                message="A cold start pulls 90 GiB one image at a time: 2h05m at least.",
                remedy=Remedy(
                    summary="Pull images in parallel.",
                    manifest=(
                        "apiVersion: kubelet.config.k8s.io/v1beta1\n"
                        "kind: KubeletConfiguration\n"
                        "serializeImagePulls: false\n"
                    ),
                ),
                docs="docs/checks/image-pull.md",
            ),
        ),
        usages=(PULLS,),
    ),
    outcome(
        "dns-search",
        Status.FINDINGS,
        findings=(
            Finding(
                code="dns-search/amplified",
                severity=Severity.WARNING,
                subject="deployment/shop/web",
                message="One external name costs 10 queries instead of 2 in 400 pods.",
                observed=10,
                limit=2,
                remedy=Remedy(
                    summary="Set ndots to 2 in the pods' dnsConfig.",
                    commands=(
                        (
                            """kubectl -n shop patch deployment web --patch '{"spec":{"template":"""
                            """{"spec":{"dnsConfig":{"options":[{"name":"ndots","value":"2"}]}}}}}'"""
                        ),
                    ),
                ),
                docs="docs/checks/dns-search.md",
            ),
        ),
    ),
    outcome(
        "neighbor-table",
        Status.FINDINGS,
        findings=(
            Finding(
                code="neighbor-table/near",
                severity=Severity.WARNING,
                subject="node/ip-10-0-0-7",
                message="960 of 1,024 IPv4 neighbor entries are used.",
                remedy=Remedy(
                    summary="Raise gc_thresh3 on every node.",
                    commands=("sysctl -w net.ipv4.neigh.default.gc_thresh3=8192",),
                ),
                docs="docs/checks/neighbor-table.md",
            ),
        ),
        usages=(NEIGHBORS, UNUSED),
    ),
    lab="1,000 nodes on one machine",
)

EVIL = "\x1b[31mred\x1b[0m\r\n# b | `c` </details><script>\u202e\x9b2J @x \\| _d_ &amp;"
HOSTILE = report(
    outcome(
        "evil-check",
        Status.FINDINGS,
        f"a message of a server: {EVIL}",
        findings=(
            Finding(
                code="evil-check/bad",
                severity=Severity.WARNING,
                subject=f"pod/{EVIL}",
                message=EVIL,
                remedy=Remedy(
                    summary=EVIL,
                    commands=(f"echo '```{EVIL}'", "```"),
                    manifest=f"a: |\n  ````\n\n  {EVIL}\n",
                ),
            ),
        ),
        usages=(
            Usage(
                limit_id="evil",
                subject=EVIL,
                used=1,
                limit=1,
                unit=f"entries{EVIL}",
                driver=EVIL,
                source=EVIL,
            ),
        ),
        metrics=(Metric(name="evil", help=EVIL, value=1, labels={"member": EVIL}),),
    ),
    cluster=EVIL,
    lab=EVIL,
)

REPORTS = {
    "clean": CLEAN,
    "nothing-judged": NOTHING_JUDGED,
    "four-failures": FOUR_FAILURES,
    "hostile": HOSTILE,
    "empty": report(),
}
