"""How many endpoints each Service has, from the table that kubectl prints of EndpointSlices.

A row names three endpoints and counts the others: a slice of a hundred takes 1.6 KB in place of
30 KB, so all of them are a hundredth of what the pods are.
"""

import re
import time
from collections import defaultdict

import msgspec
from msgspec import Struct

from k8sdiag.facts.cluster import Backends, ServiceEndpoints
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import ListMetadata
from k8sdiag.readers.kubernetes import Kubernetes

LIST = Permission(resource="endpointslices", group="discovery.k8s.io")
PERMISSIONS = (LIST,)
PATH = "/apis/discovery.k8s.io/v1/endpointslices"
PAGE = 500
SECONDS = 60.0
LARGEST = 10  # of each sort that are kept
SERVICE = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"

_Key = tuple[str, str]  # namespace, Service


class _Column(Struct):
    name: str


class _Metadata(Struct, frozen=True):
    namespace: str = ""
    labels: dict[str, str] = {}


class _Object(Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _Row(Struct):
    cells: list[object] = []
    object: _Object = _Object()


class _Table(Struct, rename="camel"):
    kind: str
    metadata: ListMetadata = ListMetadata()
    column_definitions: list[_Column] | None = None
    rows: list[_Row] | None = None


def collect(reader: Kubernetes) -> ServiceEndpoints:
    """Raises Unavailable when no page of the list can be read."""
    counts: dict[_Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    headless: set[_Key] = set()
    names: list[str] = []
    gaps = {}
    slices, token = 0, ""
    end = time.monotonic() + SECONDS
    while True:
        try:
            page = _page(reader, token)
        except Unavailable as error:
            if not slices:
                raise
            gaps["endpoints"] = f"the list of endpointslices broke off after {slices}: {error}"
            break
        names = [column.name for column in page.column_definitions or ()] or names
        for row in page.rows or ():
            cells = dict(zip(names, row.cells, strict=False))
            labels = row.object.metadata.labels
            key = (row.object.metadata.namespace, labels.get(SERVICE, ""))
            if key[1]:
                counts[key][str(cells.get("AddressType"))] += number(str(cells.get("Endpoints")))
                headless |= {key} if HEADLESS in labels else set()
        slices += len(page.rows or ())
        token = page.metadata.token
        if not token:
            break
        if time.monotonic() > end:
            gaps["endpoints"] = f"only {slices} slices were read, to spare the API server"
            break
    found = [
        Backends(
            subject=f"service/{namespace}/{name}",
            endpoints=max(families.values()),
            headless=(namespace, name) in headless,
        )
        for (namespace, name), families in counts.items()
    ]
    return ServiceEndpoints(
        largest=_largest(found),
        slices=slices,
        gaps=gaps,
        provenance=f"the table of {slices:,} EndpointSlices",
    )


def _largest(found: list[Backends]) -> tuple[Backends, ...]:
    def order(backends: Backends) -> tuple[int, str]:
        return (-backends.endpoints, backends.subject)

    headless = sorted((b for b in found if b.headless), key=order)
    balanced = sorted((b for b in found if not b.headless), key=order)
    return tuple(sorted(headless[:LARGEST] + balanced[:LARGEST], key=order))


def number(cell: str) -> int:
    """Of "10.0.0.1,10.0.0.2,10.0.0.3 + 97 more...", "10.0.0.1" or "<unset>"."""
    if cell.startswith("<"):
        return 0
    more = re.search(r" \+ (\d+) more", cell)
    return cell.count(",") + 1 + (int(more[1]) if more else 0)


def _page(reader: Kubernetes, token: str) -> _Table:
    params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
    try:
        page = msgspec.json.decode(reader.table(PATH, LIST, params), type=_Table)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{PATH}: the reply is no table: {error}") from error
    if page.kind != "Table":
        raise Unavailable(f"{PATH}: the reply is no table, but a {page.kind}")
    return page
