"""A list of the Kubernetes API, as its server bears it best.

With a limit, never with a resourceVersion ("0" makes the server ignore the limit and send all
at once), one page after the other, and no faster than it answers.
"""

import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.api import Api, Expired, ListMetadata

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]  # what, items so far, all of them if known

LIST_SECONDS = 300.0  # for all pages; a continue token lives about as long
SLOW_SECONDS = 1.0  # a page that takes longer comes from a server in trouble: pause as long
PAUSE_SECONDS = 5.0  # the longest such pause


class Incomplete(Unavailable):
    """A list broke off: what its pages brought stands, the rest was not seen."""


class _Page(Struct, Generic[T], gc=False):
    metadata: ListMetadata = ListMetadata()
    items: list[T] | None = None


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
                del body  # megabytes, while the next page comes in
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
        return target(self._path, {**self._query, **({"continue": token} if token else {})})

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


def target(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urllib.parse.urlencode(query)}" if query else path
