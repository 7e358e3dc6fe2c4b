"""The Kubernetes API, read-only: one connection, one request in flight, a page at a time."""

import ipaddress
import re
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from k8sdiag.model import Cost, Permission, Unavailable
from k8sdiag.readers.api import REQUEST_SECONDS, Api, Forbidden, NotFound
from k8sdiag.readers.https import Connection
from k8sdiag.readers.kubeconfig import Login, load
from k8sdiag.readers.once import Once
from k8sdiag.readers.pages import Incomplete, Pages, Progress, target

__all__ = ["Incomplete", "Kubernetes", "NotFound"]

T = TypeVar("T")

METRICS = Permission(resource="/metrics", verb="get")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METRICS_FRESH_SECONDS = 15.0  # several sources read the same page, which has megabytes


class Kubernetes(Once):
    """The door to one cluster's API server."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.name = login.cluster  # what the report calls the cluster
        self.server = ""  # the API server's version, "v1.36.3"; "" if it does not tell
        self.quick = False  # read workload templates instead of every pod
        # How kubelets are asked for their settings: "off"; "proxy", which needs nodes/proxy and so
        # reaches exec as well; or "direct", from where their addresses can be reached.
        self.configz = "off"
        self.kubelet_tls = True  # whether a kubelet must show a certificate of the cluster's CA
        self.coredns_metrics = False  # ask CoreDNS for its numbers: needs pods/proxy
        self.coredns_seconds = 10.0  # between two looks at them; they come at thousands a second
        self.forward_to_etcd = False  # nobody asks etcd itself: reach it through its pods
        self.look_seconds = 5.0  # between two looks at its own counters, at least
        self.progress: Progress = lambda *_: None  # called once a page
        # Packed, a list is a tenth of the bytes and costs the server a third more CPU.
        near = login.in_cluster or _is_loopback(login.configuration.host)
        self._login = login
        self._api = Api(login, gzip=not near)
        self._tables = Api(login, gzip=not near, accept=TABLE)
        self._metrics = (0.0, b"")  # when the page came, and the page
        self._kubelets = Cost()  # of what was asked from kubelets themselves

    @classmethod
    def open(cls, kubeconfig: Path | None = None, context: str | None = None) -> "Kubernetes":
        """Log in and ask for the server's version.

        Raises Unavailable when there is no kubeconfig, or the server can't be reached or
        refuses the credentials; ConfigError when the kubeconfig or the context is wrong.
        """
        door = cls(load(kubeconfig, context))
        try:
            door.server = door._version()
        except Unavailable:
            door.close()
            raise
        return door

    def _version(self) -> str:
        try:
            body = self.get("/version", Permission(resource="/version", verb="get"))
            return str(msgspec.json.decode(body)["gitVersion"])
        except Forbidden:
            return ""  # hidden by some clusters, and no check depends on it
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise Unavailable(f"{self._api.server}: it is no Kubernetes API") from error

    def close(self) -> None:
        self._api.close()
        self._tables.close()

    @property
    def host(self) -> str:
        """The API server's host name, as the kubeconfig has it."""
        return urllib.parse.urlsplit(self._login.configuration.host).hostname or ""

    @property
    def cost(self) -> Cost:
        return self._api.cost + self._tables.cost + self._kubelets

    def get(
        self,
        path: str,
        needs: Permission,
        *,
        params: Mapping[str, str] | None = None,
        timeout_seconds: float = 15.0,
    ) -> bytes:
        """The body of one reply.

        Raises NotFound for a 404, Unavailable with the reason and the mend for all else; for a
        403 they name the missing verb and resource.
        """
        deadline = time.monotonic() + timeout_seconds
        return self._api.ask(target(path, params or {}), needs, deadline).body

    def table(self, path: str, needs: Permission, params: Mapping[str, str]) -> bytes:
        """A page of a list as `kubectl get` prints it: its columns, not its objects.

        Raises as get() does.
        """
        deadline = time.monotonic() + REQUEST_SECONDS
        return self._tables.ask(target(path, params), needs, deadline).body

    def kubelet(
        self, address: str, port: int, path: str, needs: Permission, *, timeout_seconds: float
    ) -> bytes:
        """The same of a kubelet itself, with our own credentials: it asks whether we may."""
        host = f"[{address}]" if ":" in address else address
        login = self._login.at(f"https://{host}:{port}", verify=self.kubelet_tls)
        api = Api(login, gzip=False, who="the kubelet")
        try:
            return api.ask(path, needs, time.monotonic() + timeout_seconds).body
        finally:
            self._kubelets += api.cost
            api.close()

    def metrics(self) -> bytes:
        """The API server's own /metrics, scraped once for all who want it. Raises as get()."""
        return self.metrics_since(time.monotonic() - METRICS_FRESH_SECONDS)[1]

    def metrics_since(self, moment: float) -> tuple[float, bytes]:
        """The last page if it came since this moment (time.monotonic()), else a new one; and when.

        Raises as get().
        """
        came, page = self._metrics
        if not page or came < moment:
            page = self.get("/metrics", METRICS, timeout_seconds=30.0)
            self._metrics = (time.monotonic(), page)
        return self._metrics

    def forward(self, namespace: str, pod: str, port: int, path: str, seconds: float) -> bytes:
        """The body of a GET to a port that the pod's node keeps to itself. Raises Unavailable."""
        from k8sdiag.readers import portforward

        self._api.cost += Cost(api_requests=1)
        connection = Connection(self._login, gzip=False)
        where = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        try:
            body = portforward.get(connection, where, port, path, seconds)
        except portforward.NotAllowedError as error:
            needs = Permission(resource="pods/portforward", verb="create", namespace=namespace)
            raise Unavailable(f"no port-forward to {pod}: grant {needs} and get") from error
        self._api.cost += Cost(api_bytes=len(body))
        return body

    def pages(
        self,
        path: str,
        item: type[T],
        needs: Permission,
        *,
        limit: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Pages[T]:
        """A list, page by page, each item decoded into `item` (a msgspec Struct).

        Iterating raises as get() does before the first page, and Incomplete after it.
        """
        query = {**(params or {}), "limit": str(limit or self._limit())}
        return Pages(self._api, path, query, item, needs, self.progress)

    def _limit(self) -> int:
        """From 1.34 on, a page costs the server a walk over all that remains: fewer are kinder."""
        version = re.match(r"v(\d+)\.(\d+)", self.server)
        return 1000 if version and (int(version[1]), int(version[2])) >= (1, 34) else 500


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
