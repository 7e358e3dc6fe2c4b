"""What the API server sends to `k8sdiag watch`: tables as kubectl prints them, and its metrics.

A table row of a node is 300 bytes where the node itself has 20 KB.
"""

import re

import msgspec
from msgspec import Struct

from k8sdiag.facts.signals import Counters, NodeStates, PodWarnings
from k8sdiag.readers.api import ListMetadata
from k8sdiag.readers.exposition import samples

ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
RECENT_SECONDS = 300.0
WRITES = ("create", "update", "delete")

Row = dict[str, str]  # by the name of the column

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "y": 365 * 86400.0}
_PULL = re.compile(
    r"Failed to pull image|Back-off pulling image|Error: (ErrImagePull|ImagePullBackOff)"
)


class _Column(Struct):
    name: str


class _Cells(Struct):
    cells: list[object] = []


class _Table(Struct, rename="camel"):
    kind: str
    column_definitions: list[_Column] | None = None
    rows: list[_Cells] | None = None
    metadata: ListMetadata = ListMetadata()


def table(body: bytes) -> tuple[list[Row], str, int]:
    """(rows, the token of the next page, how many rows it and those after it have at least).

    Raises ValueError for another reply.
    """
    try:
        found = msgspec.json.decode(body, type=_Table)
    except msgspec.DecodeError as error:
        raise ValueError(f"the reply is not what an API server sends: {error}") from error
    if found.kind != "Table":
        raise ValueError(f"the reply is a {found.kind}, not the table that was asked for")
    names = [column.name for column in found.column_definitions or ()]
    rows = [dict(zip(names, map(str, row.cells), strict=False)) for row in found.rows or ()]
    token = found.metadata.token
    # With a selector the server does not tell how many remain.
    return rows, token, (found.metadata.remaining or 1) if token else 0


def nodes(rows: list[Row], left: int) -> NodeStates:
    """By the column Status: "Ready", "NotReady", "Ready,SchedulingDisabled", "Unknown"."""
    bad = (r.get("Name", "") for r in rows if "Ready" not in r.get("Status", "").split(","))
    return NodeStates(seen=len(rows), not_ready=tuple(bad), left=left)


def warnings(rows: list[Row], *, more: bool) -> PodWarnings:
    pulls: dict[str, str] = {}
    forming: set[str] = set()
    full: set[str] = set()
    for row in rows:
        if age_seconds(row.get("Last Seen", "")) > RECENT_SECONDS:
            continue
        message, about = row.get("Message", ""), row.get("Object", "")
        if _PULL.match(message):
            # What says why comes with the first of them; "Error: ErrImagePull" tells less.
            pulls[about] = max(pulls.get(about, ""), message, key=len)
        elif row.get("Reason") == "DNSConfigForming":
            forming.add(about)
        if "mvcc: database space exceeded" in message:
            full.add(about)
    example = max(pulls.values(), key=lambda m: (len(m), m), default="")
    return PodWarnings(
        pulls=len(pulls),
        pull_example=example[:200],
        dns=len(forming),
        nospace=len(full),
        more=more,
    )


def age_seconds(text: str) -> float:
    """Of "45s", "2m30s" or "3h5m", as kubectl prints them; endless for any other text."""
    parts = re.findall(r"(\d+)([smhdy])", text)
    return sum(int(n) * _UNITS[u] for n, u in parts) if parts else float("inf")


def counters(page: bytes, at: float) -> Counters:
    """Raises ValueError for a page that is no API server's."""
    sums = dict.fromkeys(("errors", "calls", "seconds", "all", "failed", "rejected"), 0.0)
    writes: float | None = None
    started = 0.0
    sizes: dict[str, float] = {}
    for sample in samples(
        page,
        "process_start_time_seconds",
        "apiserver_storage_size_bytes",
        "etcd_requests_total",
        "etcd_request_errors_total",
        "etcd_request_duration_seconds_sum",
        "etcd_request_duration_seconds_count",
        "apiserver_request_total",
    ):
        labels, value = sample.labels, sample.value
        match sample.name:
            case "process_start_time_seconds":
                started = value
            case "apiserver_storage_size_bytes":
                sizes[labels.get("storage_cluster_id", "")] = value
            case "etcd_requests_total":
                writes = (writes or 0.0) + value * (labels.get("operation") in WRITES)
            case "etcd_request_errors_total":
                sums["errors"] += value * (labels.get("operation") in WRITES)
            case "etcd_request_duration_seconds_sum":
                sums["seconds"] += value
            case "etcd_request_duration_seconds_count":
                sums["calls"] += value
            case _:
                sums["all"] += value
                code = labels.get("code", "")
                sums["failed"] += value * code.startswith("5")
                sums["rejected"] += value * (code == "429")
    if not sums["all"]:
        raise ValueError("it counts no request: no API server serves it")
    return Counters(
        at=at,
        started=started,
        storage_bytes=sizes,
        writes=writes,
        write_errors=sums["errors"],
        etcd_requests=sums["calls"],
        etcd_seconds=sums["seconds"],
        requests=sums["all"],
        failed=sums["failed"],
        rejected=sums["rejected"],
    )


class _Status(Struct):
    message: str = ""


def refusal(body: bytes) -> str:
    """What a reply says that is not 200: a Status' message, or the checks of /readyz that fail."""
    try:
        return msgspec.json.decode(body, type=_Status).message
    except msgspec.DecodeError:
        lines = body.decode(errors="replace").splitlines()
        return "; ".join([line for line in lines if line.startswith("[-]")] or lines[:1])[:200]
