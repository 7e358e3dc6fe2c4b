"""The web configuration file of Prometheus' own exporters: TLS, client certificates, passwords.

Its keys and what they mean are those of github.com/prometheus/exporter-toolkit (docs/
web-configuration.md); `promtool check web-config` says of a file what we say. What can't be kept
as promised there is refused here, never ignored.
"""

import logging
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from k8sdiag.model import ConfigError
from k8sdiag.web.tls import Tls, context

if TYPE_CHECKING:
    import ssl

log = logging.getLogger(__name__)

# The headers that may be set, and their values where these are few.
_HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


class _Http(Struct, forbid_unknown_fields=True):
    http2: bool = True  # a client may ask for it; it gets HTTP/1.1
    headers: dict[str, str] = {}


class _File(Struct, forbid_unknown_fields=True):
    tls: Tls = field(name="tls_server_config", default_factory=Tls)
    http: _Http = field(name="http_server_config", default_factory=_Http)
    users: dict[str, str] = field(name="basic_auth_users", default_factory=dict)


class Web(Struct, frozen=True):
    """How to serve: over TLS unless `tls` is None, to `users` unless there are none."""

    tls: "ssl.SSLContext | None" = None
    headers: dict[str, str] = {}
    users: dict[str, str] = {}  # name -> bcrypt hash
    files: tuple[Path, ...] = ()  # what it was made of
    stamp: tuple[object, ...] = ()  # of these files just before they were read


class WebFile:
    """The configuration as it is now: read again, without a restart, when a file of it changes."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when it can't be used."""
        self._path = path
        self._lock = threading.Lock()
        self._complaint = ""
        self._web = read(path)

    def now(self) -> Web:
        """What a new connection gets.

        While the files can't be used, half of a new pair being there, say, the last good ones
        hold. Nor does a file that lost its TLS section turn TLS off: that takes a restart.
        """
        with self._lock:
            if _stamp(self._web.files) != self._web.stamp:
                try:
                    self._web = self._again()
                    self._complaint = ""
                except ConfigError as error:
                    if str(error) != self._complaint:
                        self._complaint = str(error)
                        log.error("%s; the last good configuration holds", error)  # noqa: TRY400
            return self._web

    def _again(self) -> Web:
        web = read(self._path)
        if self._web.tls and not web.tls:
            raise ConfigError(f"{self._path}: TLS can't be turned off while serving: restart")
        return web


def _stamp(files: Iterable[Path]) -> tuple[object, ...]:
    """Changes when a file does, and when a link to it leads to another, as in a Secret's mount."""
    found: list[object] = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_ino, state.st_size))
    return tuple(found)


def read(path: Path) -> Web:
    """Raises ConfigError with the file, what is wrong with it and the mend."""
    stamp = _stamp((path,))
    try:
        found = msgspec.convert(_load(path), type=_File, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {str(error).replace('`$.', '`')}") from error
    tls = found.tls
    files = [path.parent / f for f in (tls.cert_file, tls.key_file, tls.client_ca_file) if f]
    stamp += _stamp(files)
    try:
        _check_headers(found.http.headers)
        _check_users(found.users)
        made = context(tls, files)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return Web(made, found.http.headers, found.users, (path, *files), stamp)


def _load(path: Path) -> dict[str, Any]:
    import yaml

    class Strict(yaml.BaseLoader):  # type: ignore[misc]  # all scalars are text, as in the file
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key) for key, _ in node.value]
            if twice := [key for key in keys if keys.count(key) > 1]:
                raise ConfigError(f"{path}: {twice[0]} is there twice")
            return super().construct_mapping(node, deep)

    try:
        found = yaml.load(path.read_text(), Strict)  # noqa: S506 - text only
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f": line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}: not YAML{where}") from error
    if not isinstance(found or {}, dict):
        raise ConfigError(f"{path}: holds no settings: see docs/exporters.md")
    return {key: value for key, value in (found or {}).items() if value != ""}


def _check_headers(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if name not in _HEADERS:
            raise ValueError(f"headers: {name} can't be set: there are {', '.join(_HEADERS)}")
        if _HEADERS[name] and value not in _HEADERS[name]:
            raise ValueError(f"headers: {name} is {' or '.join(_HEADERS[name])}, not {value}")
        if not value.isprintable():
            raise ValueError(f"headers: {name} holds a line break")


def _check_users(users: dict[str, str]) -> None:
    if wrong := [name for name, hashed in users.items() if not _BCRYPT.fullmatch(hashed)]:
        raise ValueError(
            f"basic_auth_users: the password of {wrong[0]} must be a bcrypt hash: htpasswd -nB NAME"
        )
    if users:
        try:
            import bcrypt  # noqa: F401
        except ImportError:
            raise ValueError(
                "basic_auth_users needs the package bcrypt: pip install 'k8sdiag[auth]'"
            ) from None
