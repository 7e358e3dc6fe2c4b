"""What an etcd client shows: TLS files, for the standard library and for grpc, and a user."""

import ssl
import threading
from pathlib import Path

from msgspec import Struct


class Files(Struct, frozen=True):
    """What TLS needs, under the names of etcdctl's flags."""

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def flags(self) -> tuple[str, ...]:
        given = (("cacert", self.cacert), ("cert", self.cert), ("key", self.key))
        return tuple(f"--{name}={path}" for name, path in given if path)


class Credentials:
    """The files, read once: for the standard library and for grpc. Raises OSError, SSLError."""

    def __init__(self, files: Files, user: str = "", password: str = "") -> None:
        self.files = files
        self.user, self.password = user, password
        self.token = ""  # of the user's one login, good at every member
        self.denied = ""  # why the login failed: not tried again, passwords cost etcd CPU
        self.lock = threading.Lock()  # held while somebody logs in
        self.roots, self.cert, self.key = (
            path.read_bytes() if path else None for path in (files.cacert, files.cert, files.key)
        )
        if self.roots is None and (system := ssl.get_default_verify_paths().cafile):
            self.roots = Path(system).read_bytes()  # the same CAs for both; grpc brings its own
        self.context = ssl.create_default_context(cafile=files.cacert)
        # Set by default since Python 3.13; hand-made CAs without keyUsage fail under it.
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if files.cert:
            # An encrypted key fails instead of asking on the terminal.
            self.context.load_cert_chain(files.cert, files.key, password="")
