"""The Kubernetes API, read-only."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from k8sdiag.model import Cost, Permission, Unavailable

T = TypeVar("T")


class NotFound(Unavailable):
    """404: the object or the API does not exist, which is an answer of its own."""


class Kubernetes:
    """The door to one cluster's API server: one connection, one request in flight."""

    name: str  # what the report calls the cluster
    server: str  # the API server's version, "v1.36.3"

    @property
    def cost(self) -> Cost:
        raise NotImplementedError

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
        raise NotImplementedError

    def pages(
        self,
        path: str,
        item: type[T],
        needs: Permission,
        *,
        limit: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Iterator[list[T]]:
        """A list, page by page, each item decoded into `item` (a msgspec Struct)."""
        raise NotImplementedError
