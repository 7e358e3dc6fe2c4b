"""The Kubernetes API, read-only: one connection, one request in flight, a page at a time.

Lists are asked for as the API server bears them best: with a limit, never with a
resourceVersion (with "0" it ignores the limit and sends everything at once), and no faster
than it answers.
"""

import ipaddress
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from k8sdiag.model import Cost, Permission, Unavailable
from k8sdiag.readers.api import Api, Expired, Forbidden, ListMetadata, NotFound
from k8sdiag.readers.kubeconfig import Login, load

__all__ = ["Incomplete", "Kubernetes", "NotFound", "Pages"]

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]  # what, items so far, all of them if known

LIST_SECONDS = 300.0  # for all pages of a list; a continue token lives about as long
SLOW_SECONDS = 1.0  # a page that takes longer comes from a server in trouble: pause as long
PAUSE_SECONDS = 5.0  # the longest such pause


class Incomplete(Unavailable):
    """A list broke off: what its pages brought stands, the rest was not seen."""


class _Page(Struct, Generic[T], gc=False):
    metadata: ListMetadata = ListMetadata()
    items: list[T] | None = None


class Kubernetes:
    """The door to one cluster's API server."""

    def __init__(self, login: Login) -> None:
        self.name = login.cluster  # what the report calls the cluster
        self.server = ""  # the API server's version, "v1.36.3"; "" if it does not tell
        self.quick = False  # read workload templates instead of every pod
        self.configz = False  # ask kubelets for their settings: nodes/proxy reaches exec as well
        self.progress: Progress = lambda *_: None  # called once a page
        # Packed, a list is a tenth of the bytes and costs the server a third more CPU.
        near = login.in_cluster or _is_loopback(login.configuration.host)
        self._api = Api(login, gzip=not near)

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

    @property
    def cost(self) -> Cost:
        return self._api.cost

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
        return self._api.ask(_target(path, params or {}), needs, deadline).body

    def pages(
        self,
        path: str,
        item: type[T],
        needs: Permission,
        *,
        limit: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> "Pages[T]":
        """A list, page by page, each item decoded into `item` (a msgspec Struct).

        Iterating raises as get() does before the first page, and Incomplete after it.
        """
        query = {**(params or {}), "limit": str(limit or self._limit())}
        return Pages(self._api, path, query, item, needs, self.progress)

    def _limit(self) -> int:
        """From 1.34 on, a page costs the server a walk over all that remains: fewer are kinder."""
        version = re.match(r"v(\d+)\.(\d+)", self.server)
        return 1000 if version and (int(version[1]), int(version[2])) >= (1, 34) else 500


class Pages(Iterator[list[T]]):
    """The pages of one list. The next one is on its way while this one is decoded."""

    def __init__(
        self,
        api: Api,
        path: str,
        query: Mapping[str, str],
        item: type[T],
        needs: Permission,
        progress: Progress,
    ) -> None:
        self.provenance = f"{path} of the API server"
        self._api = api
        self._path = path
        self._query = query
        self._needs = needs
        self._progress = progress
        self._decoder = msgspec.json.Decoder(_Page[item])  # type: ignore[valid-type]
        self._done = 0
        self._pages = self._read()

    def __next__(self) -> list[T]:
        return next(self._pages)

    def _read(self) -> Iterator[list[T]]:
        deadline = time.monotonic() + LIST_SECONDS
        token = ""
        sent = resumed = False
        try:
            while True:
                begin = time.monotonic()
                try:
                    body = self._api.ask(self._next(token), self._needs, deadline, sent=sent).body
                except Expired as error:
                    sent = False
                    if resumed or not error.token:
                        raise
                    # Never from the start again: that would double what it costs.
                    resumed, token = True, error.token
                    self.provenance += "; it expired on the way and was resumed, so it mixes states"
                    continue
                sent = False
                took = time.monotonic() - begin
                token = _token(body)
                if token and took <= SLOW_SECONDS:
                    # If it can't be sent, this page still counts; it is asked again below.
                    with suppress(Unavailable):
                        self._api.send(self._next(token), deadline)
                        sent = True
                items, token = self._decode(body)
                yield items
                if not token:
                    return
                if took > SLOW_SECONDS:
                    time.sleep(min(took, PAUSE_SECONDS))
        except Unavailable as error:
            if not self._done:
                raise
            what = self._path.rpartition("/")[2]
            raise Incomplete(f"the list of {what} broke off after {self._done}: {error}") from error
        finally:
            if sent:  # nobody will fetch that reply
                self._api.close()

    def _next(self, token: str) -> str:
        return _target(self._path, {**self._query, **({"continue": token} if token else {})})

    def _decode(self, body: bytes) -> tuple[list[T], str]:
        try:
            page: _Page[T] = self._decoder.decode(body)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"{self._path}: the reply is not what an API server sends: {error}"
            ) from error
        items, metadata = page.items or [], page.metadata
        self._done += len(items)
        total = None if metadata.remaining is None else self._done + metadata.remaining
        self._progress(
            self._path.rpartition("/")[2], self._done, total if metadata.token else self._done
        )
        return items, metadata.token


# The list's metadata stand before its items, and nothing is nested in them.
_HEAD = re.compile(
    rb'\{"kind":"\w+","apiVersion":"[\w./]+","metadata":\{[^{}]*"continue":"([^"\\{}]+)"'
)


def _token(body: bytes) -> str:
    """The continue token, found without decoding the page; "" if it is not where it should be."""
    found = _HEAD.match(body)
    return found[1].decode() if found else ""


def _target(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urllib.parse.urlencode(query)}" if query else path


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
