"""The sums of Trivy Operator's reports, as tables: the reports have up to a megabyte each."""

import time
from collections import Counter

import msgspec
from msgspec import Struct, field

from k8sdiag.facts.image_policies import Vulnerabilities
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import ListMetadata
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources._groups import DISCOVERY, groups

GROUP = "aquasecurity.github.io"
REPORTS = Permission(resource="vulnerabilityreports", group=GROUP)
PERMISSIONS = (DISCOVERY, REPORTS)

PER_SCRAPE = False  # Trivy Operator has metrics of its own

PAGE = 50  # the server reads all of each, and sends little
MOST = 5_000  # reports, which is 10 s of one core of the server and more
SECONDS = 20.0
SEVERITIES = ("Critical", "High", "Medium", "Low", "Unknown")


class _Column(Struct):
    name: str


class _Row(Struct):
    cells: list[str | int | float | bool | list[object] | dict[str, object] | None] = []


class _Table(Struct):
    columns: list[_Column] = field(name="columnDefinitions", default_factory=list)
    rows: list[_Row] = []
    metadata: ListMetadata = ListMetadata()


def collect(reader: Kubernetes) -> Vulnerabilities:
    if reader.quick:
        raise Unavailable("a quick look does not read vulnerability reports")
    version = reader.once(groups).get(GROUP)
    if not version:
        return Vulnerabilities(installed=False, provenance="/apis of the API server")
    path = f"/apis/{GROUP}/{version}/{REPORTS.resource}"
    sums: Counter[str] = Counter()
    reports = 0
    gaps = {}
    names: list[str] = []
    token = ""
    end = time.monotonic() + SECONDS
    while True:
        try:
            page = _page(reader, path, token)
        except NotFound:
            return Vulnerabilities(installed=False, provenance="/apis of the API server")
        except Unavailable as error:
            if not reports:
                raise
            gaps["vulnerability reports"] = f"they broke off after {reports}: {error}"
            break
        names = [column.name for column in page.columns] or names  # told with the first page
        for row in page.rows:
            sums.update(_counts(names, row))
        reports += len(page.rows)
        token = page.metadata.token
        if not token:
            break
        if reports >= MOST or time.monotonic() > end:
            gaps["vulnerability reports"] = f"only {reports} were read, to spare the API server"
            break
    return Vulnerabilities(
        installed=True,
        reports=reports,
        **{severity.lower(): sums[severity] for severity in SEVERITIES},
        gaps=gaps,
        provenance=f"the table of {reports} vulnerability reports",
    )


def _page(reader: Kubernetes, path: str, token: str) -> _Table:
    params = {"limit": str(PAGE), "includeObject": "None"}
    body = reader.table(path, REPORTS, params | ({"continue": token} if token else {}))
    try:
        return msgspec.json.decode(body, type=_Table)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{path}: the reply is no table: {error}") from error


def _counts(names: list[str], row: _Row) -> dict[str, int]:
    told = dict(zip(names, row.cells, strict=False))
    return {s: n for s in SEVERITIES if isinstance(n := told.get(s), int)}
