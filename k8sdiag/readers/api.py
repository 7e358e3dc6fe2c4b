"""One polite request to an API server: when to ask again, and what a refusal means."""

import time

import msgspec
from msgspec import Struct, field

from k8sdiag.model import Cost, Permission, Unavailable
from k8sdiag.readers.https import Connection, Dropped, Reply
from k8sdiag.readers.kubeconfig import Login, one_line

REQUEST_SECONDS = 60.0  # the API server itself gives up after as long (--request-timeout)
BUSY_TRIES = 5  # of one request that is answered 429
STILL_BUSY_TRIES = 2  # of each that follows one which was refused to the end
WAIT_SECONDS = 30.0  # the longest Retry-After that is obeyed; a longer one ends the request


class NotFound(Unavailable):
    """404: the object or the API does not exist, which is an answer of its own."""


class Forbidden(Unavailable):
    """403: the message names the missing verb and resource."""


class Expired(Unavailable):
    """410: a list as it was is gone; `token` goes on with the list as it is now."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


class ListMetadata(Struct, frozen=True):
    token: str = field(name="continue", default="")
    remaining: int | None = field(name="remainingItemCount", default=None)


class _Status(Struct):
    """What the API server sends with every refusal."""

    message: str = ""
    metadata: ListMetadata = ListMetadata()


class Api:
    def __init__(
        self,
        login: Login,
        *,
        gzip: bool,
        who: str = "the API server",
        accept: str = "application/json",
    ) -> None:
        self._who = login.who
        self._connection = Connection(login, gzip=gzip, who=who, accept=accept)
        self.server = self._connection.server
        self.cost = Cost()
        self._busy_tries = BUSY_TRIES

    def send(self, target: str, deadline: float) -> None:
        """Put a request on its way; ask(sent=True) fetches the reply."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unavailable("the time for it ran out")
        self.cost += Cost(api_requests=1)
        self._connection.send(target, min(left, REQUEST_SECONDS))

    def ask(self, target: str, needs: Permission, deadline: float, *, sent: bool = False) -> Reply:
        """The reply to a GET, whose status is 200.

        A connection that breaks is tried once more, a 5xx too; a 429 up to five times, each
        after the time that it asks for, and less often once that did not help: dozens of lists
        would wait for the same minute. Raises Unavailable with one line.
        """
        drops, errors, busy = 1, 1, self._busy_tries - 1
        while True:
            try:
                if not sent:
                    self.send(target, deadline)
                sent = False
                reply = self._connection.receive()
            except Dropped:
                if not drops:
                    raise
                drops -= 1
                continue
            self.cost += Cost(api_bytes=reply.wire_bytes)
            if reply.status == 200:
                return reply
            again = False
            if reply.status == 429:
                again, busy = busy > 0, busy - 1
                if not again:
                    self._busy_tries = STILL_BUSY_TRIES
            elif reply.status >= 500:
                again, errors = errors > 0, errors - 1
            wait = _retry_after(reply)
            if not again or wait > WAIT_SECONDS or time.monotonic() + wait > deadline:
                raise self._refusal(reply, target.partition("?")[0], needs)
            time.sleep(wait)

    def close(self) -> None:
        self._connection.close()

    def _refusal(self, reply: Reply, path: str, needs: Permission) -> Unavailable:
        try:
            status = msgspec.json.decode(reply.body, type=_Status)
        except msgspec.DecodeError:  # not from the API itself, but from what stands before it
            plain = reply.headers.get_content_type() == "text/plain"
            status = _Status(message=reply.body.decode(errors="replace") if plain else "")
        said = one_line(status.message) or f"HTTP status {reply.status}"
        if reply.status == 401:
            return Unavailable(
                f"{self.server} refuses the credentials of {self._who}: they have expired or are "
                "wrong; log in again"
            )
        if reply.status == 403:
            full = needs.resource + (f".{needs.group}" if needs.group else "")
            # So it is when a kubeconfig has neither a token nor a certificate.
            nobody = " (the server takes us for anonymous)" if "system:anonymous" in said else ""
            return Forbidden(
                f'may not {needs.verb} "{full}"{nobody}: grant {needs} '
                "(k8sdiag rbac prints the role)"
            )
        if reply.status == 404:
            return NotFound(f"{path}: {said}")
        if reply.status == 410:
            return Expired(f"{path}: {said}", status.metadata.token)
        if reply.status == 429:
            return Unavailable(f"{path}: {self.server} is too busy (429); try again later")
        return Unavailable(f"{path}: {self.server} answers: {said}")


def _retry_after(reply: Reply) -> float:
    """Seconds; the API server sends whole ones, never a date."""
    told = reply.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 1.0
