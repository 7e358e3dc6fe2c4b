"""One kept-alive HTTP/1.1 connection to an API server, with the credentials of a kubeconfig.

http.client, because it lets a request be sent before the last reply is worked on, which no
pooling client does; see bench/README.md for what that is worth.
"""

import base64
import socket
import ssl
import time
import urllib.parse
import zlib
from email.message import Message
from http.client import HTTPConnection, HTTPException
from typing import Any

from msgspec import Struct

from k8sdiag.model import Unavailable
from k8sdiag.version import USER_AGENT

CONNECT_SECONDS = 10.0

_HOSTNAME_MISMATCH = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class Dropped(Unavailable):
    """The connection broke under a request: worth asking once more, on a new one."""


class Reply(Struct, frozen=True):
    status: int
    headers: Message
    body: bytes
    wire_bytes: int  # as they came, before they were unpacked


class Connection:
    """send(), then receive(): at most one request is in flight."""

    def __init__(self, configuration: Any, *, gzip: bool) -> None:
        self._configuration = configuration
        self._url = urllib.parse.urlsplit(configuration.host)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise Unavailable(f"{configuration.host}: not the address of an API server")
        self.server = f"{self._url.hostname}:{self._port}"
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        self._headers["Accept-Encoding"] = "gzip" if gzip else "identity"
        self._http: HTTPConnection | None = None
        self._deadline = 0.0

    def send(self, target: str, timeout_seconds: float) -> None:
        """Ask for a path; receive() then has until the timeout to read the whole reply."""
        headers = dict(self._headers)
        # Runs the refresh of a token that is about to expire.
        for auth in self._configuration.auth_settings().values():
            headers[auth["key"]] = auth["value"]
        if self._http is None:
            self._http = self._connect()
        self._deadline = time.monotonic() + timeout_seconds
        assert self._http.sock is not None  # noqa: S101 - connected above
        self._http.sock.settimeout(timeout_seconds)
        try:
            self._http.request("GET", self._url.path.rstrip("/") + target, headers=headers)
        except (OSError, HTTPException) as error:
            self.close()
            raise Dropped(f"{self.server} closed the connection: {error}") from error

    def receive(self) -> Reply:
        assert self._http is not None  # noqa: S101 - send() comes first
        try:
            response = self._http.getresponse()
            body = response.read()
        except TimeoutError as error:
            self.close()
            raise Unavailable(f"{self.server} took too long to answer") from error
        except (OSError, HTTPException) as error:
            self.close()
            raise Dropped(f"{self.server} cut the connection: {error or 'no answer'}") from error
        if response.will_close:
            self.close()
        wire_bytes = len(body)
        if response.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        return Reply(response.status, response.headers, body, wire_bytes)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    @property
    def _port(self) -> int:
        return self._url.port or (443 if self._url.scheme == "https" else 80)

    def _connect(self) -> HTTPConnection:
        host = self._url.hostname or ""
        proxy = self._proxy()
        if proxy:
            http = HTTPConnection(proxy.hostname or "", proxy.port or 80, timeout=CONNECT_SECONDS)
            headers = {}
            if proxy.username:
                secret = f"{proxy.username}:{proxy.password or ''}"
                user = base64.b64encode(urllib.parse.unquote(secret).encode()).decode()
                headers["Proxy-Authorization"] = f"Basic {user}"
            http.set_tunnel(host, self._port, headers=headers)
        else:
            http = HTTPConnection(host, self._port, timeout=CONNECT_SECONDS)
        try:
            http.connect()
            if self._url.scheme == "https":
                name = getattr(self._configuration, "tls_server_name", None) or host
                http.sock = self._tls().wrap_socket(http.sock, server_hostname=name)
        except OSError as error:
            http.close()
            through = f" through the proxy {proxy.hostname}:{proxy.port or 80}" if proxy else ""
            raise Unavailable(self._why(error, through)) from error
        return http

    def _proxy(self) -> urllib.parse.SplitResult | None:
        from kubernetes.client.rest import should_bypass_proxies

        named, never = self._configuration.proxy, getattr(self._configuration, "no_proxy", None)
        if not named or should_bypass_proxies(self._configuration.host, never or ""):
            return None
        proxy = urllib.parse.urlsplit(str(named))
        if proxy.scheme != "http":
            raise Unavailable(
                f"a proxy of the kind {proxy.scheme}:// is not supported; http:// is (the "
                "connection to the API server inside it stays encrypted)"
            )
        return proxy

    def _tls(self) -> ssl.SSLContext:
        """Made anew for each connection: a refreshed login may bring other certificates."""
        login = self._configuration
        try:
            context = ssl.create_default_context(cafile=login.ssl_ca_cert)
            if login.cert_file:
                # The empty password: an encrypted key must fail, not ask on the terminal.
                context.load_cert_chain(login.cert_file, login.key_file, password="")
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"the certificates of the kubeconfig can't be used: {error}"
            ) from error
        # Python 3.13 began to insist on RFC 5280's extensions, which many clusters' CAs lack.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if login.assert_hostname is False or not login.verify_ssl:
            context.check_hostname = False
        if not login.verify_ssl:
            context.verify_mode = ssl.CERT_NONE
        return context

    def _why(self, error: OSError, through: str) -> str:
        """Why there is no connection, and what to do about it."""
        why = f"cannot be reached: {error.strerror or error}"
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _HOSTNAME_MISMATCH:
                why = (
                    f"its certificate is for another name ({error.verify_message}): use a name "
                    "that it has, or set tls-server-name in the kubeconfig"
                )
            elif error.verify_code == _EXPIRED:
                why = "its certificate has expired: renew the API server's certificate"
            else:
                why = (
                    "its certificate is not signed by the CA of the kubeconfig "
                    f"({error.verify_message}): check certificate-authority there"
                )
        elif isinstance(error, ssl.SSLError):
            why = f"no TLS there ({error.reason or error}): check server in the kubeconfig"
        elif isinstance(error, socket.gaierror):
            why = f"its name does not resolve ({error.strerror}): check server in the kubeconfig"
        elif isinstance(error, TimeoutError):
            why = f"no connection within {CONNECT_SECONDS:g}s: is a firewall or a VPN between?"
        return f"the API server {self.server}{through}: {why}"
