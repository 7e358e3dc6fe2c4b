"""etcd, read-only, each member by itself: Status is a member's own word, so nothing is balanced.

Only Status, MemberList (as the member knows it) and /metrics are asked. Alarm never, not even
to list: it is a raft proposal, which writes and hangs without a quorum; Status tells the same.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from k8sdiag.model import ConfigError, Cost
from k8sdiag.readers.etcd_credentials import Credentials, Files
from k8sdiag.readers.etcd_member import Member
from k8sdiag.readers.once import Once

PORT = 2379


class Etcd(Once):
    """The door to the members of an etcd. Safe to ask from several threads."""

    def __init__(self, endpoints: tuple[str, ...], credentials: Credentials) -> None:
        super().__init__()
        self.endpoints = endpoints
        user = (f"--user={credentials.user}",) if credentials.user else ()  # it asks for the rest
        self.flags = credentials.files.flags() + user  # of etcdctl, for the same access
        self.look_seconds = 10.0  # how far apart two looks at a counter are
        self._credentials = credentials
        self._cost = Cost()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        endpoints: str,
        *,
        cacert: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        user: str = "",
        password: str = "",
    ) -> "Etcd":
        """`endpoints` as etcdctl takes them: comma-separated, each a URL or HOST:PORT.

        A bare HOST:PORT means https if a CA or a certificate is given. Nothing is asked yet. The
        user logs in only where etcd refuses to answer without: each login is a raft proposal.
        Raises ConfigError for an endpoint that is none and for files that can't be used.
        """
        if bool(cert) != bool(key):
            raise ConfigError("--etcd-cert and --etcd-key belong together: give both")
        scheme = "https" if cacert or cert else "http"
        try:
            urls = [endpoint(e, scheme) for e in endpoints.split(",") if e.strip()]
        except ValueError as error:
            raise ConfigError(f"--etcd-endpoints: {error}") from error
        if not urls:
            raise ConfigError("--etcd-endpoints is empty: write https://HOST:2379")
        files = Files(*(path and path.absolute() for path in (cacert, cert, key)))
        try:
            return cls(tuple(dict.fromkeys(urls)), Credentials(files, user, password))
        except ssl.SSLError as error:
            raise ConfigError(
                f"{' '.join(files.flags())}: not a CA, a certificate and its unencrypted key in "
                f"PEM form ({error.reason or error})"
            ) from error
        except OSError as error:
            mend = ": read it as root" if isinstance(error, PermissionError) else ""
            raise ConfigError(f"{error.filename}: {error.strerror}{mend}") from error

    @property
    def cost(self) -> Cost:
        return self._cost

    @contextmanager
    def ask(self, url: str) -> Iterator[Member]:
        """A client of whatever member answers at the URL; raises Unavailable when none does."""
        with closing(Member(url, self._credentials, self._count)) as member:
            yield member

    def _count(self, received_bytes: int) -> None:
        with self._lock:
            self._cost += Cost(api_requests=1, api_bytes=received_bytes)


def endpoint(text: str, scheme: str = "http") -> str:
    """SCHEME://HOST:PORT of an endpoint as etcdctl takes it. Raises ValueError."""
    text = text.strip()
    try:
        url = urlsplit(text if "://" in text else f"{scheme}://{text}")
        host, port = url.hostname, url.port or PORT
    except ValueError:
        host, port = None, 0
    if not host or url.scheme not in ("http", "https") or url.path.strip("/") or "@" in text:
        shown = "what has a user in it" if "@" in text else repr(text)
        raise ValueError(f"{shown} is not an endpoint: write https://HOST:2379")
    return f"{url.scheme}://[{host}]:{port}" if ":" in host else f"{url.scheme}://{host}:{port}"
