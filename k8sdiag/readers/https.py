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
from http.client import HTTPConnection, HTTPException, IncompleteRead

from msgspec import Struct

from k8sdiag.model import ConfigError, Unavailable
from k8sdiag.readers.kubeconfig import Login
from k8sdiag.version import USER_AGENT

CONNECT_SECONDS = 10.0

_SLICE = 2**20  # the deadline is looked at after each

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

    def __init__(
        self,
        login: Login,
        *,
        gzip: bool,
        who: str = "the API server",
        accept: str = "application/json",
    ) -> None:
        self._login = login
        address = login.configuration.host
        try:
            self._url = urllib.parse.urlsplit(address)
            self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        except ValueError as error:
            raise ConfigError(f"{login.who}: server {address}: {error}") from error
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ConfigError(f"{login.who}: server {address}: write https://HOST:PORT")
        self.server = f"{who} {self._url.hostname}:{self._port}"
        self._headers = {
            "Accept": accept,
            "Accept-Encoding": "gzip" if gzip else "identity",
            "User-Agent": USER_AGENT,
        }
        self._http: HTTPConnection | None = None
        self._deadline = 0.0

    def send(self, target: str, timeout_seconds: float) -> None:
        """Ask for a path; receive() then has until the timeout to read the whole reply."""
        headers = {**self._headers, **self._login.headers()}
        self._deadline = time.monotonic() + timeout_seconds
        if self._http is None:
            self._http = self._connect()
        try:
            self._set_timeout()
            self._http.request("GET", self._url.path.rstrip("/") + target, headers=headers)
        except (OSError, HTTPException) as error:
            raise self._broken(error) from error

    def receive(self) -> Reply:
        """The reply to what was sent. Raises Dropped when there is none, or not all of it."""
        if self._http is None:
            raise Dropped(f"{self.server} was not asked")
        try:
            response = self._http.getresponse()
            parts = []
            while part := response.read(_SLICE):
                parts.append(part)
                self._set_timeout()
            if response.length:  # read() with a size takes a body that is cut off for a whole one
                raise IncompleteRead(b"", response.length)
            body = b"".join(parts)
            wire_bytes = len(body)
            if response.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
        except (OSError, HTTPException, zlib.error) as error:
            raise self._broken(error) from error
        if response.will_close:
            self.close()
        return Reply(response.status, response.headers, body, wire_bytes)

    def for_websocket(self, target: str) -> tuple[str, socket.socket, dict[str, str]]:
        """(URL, a socket of its own with TLS on it, headers that authenticate): to upgrade it."""
        self.close()
        self._http = self._connect()
        scheme = "wss" if self._url.scheme == "https" else "ws"
        url = f"{scheme}://{self._url.netloc}{self._url.path.rstrip('/')}{target}"
        return url, self._http.sock, {"User-Agent": USER_AGENT, **self._login.headers()}

    def _set_timeout(self) -> None:
        """No single wait may last past the deadline of the request."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._http and self._http.sock:  # None once a reply that closes the connection is read
            self._http.sock.settimeout(left)

    def _broken(self, error: Exception) -> Unavailable:
        """What is in the connection now belongs to no request: it can't be used again."""
        self.close()
        if isinstance(error, TimeoutError):
            return Unavailable(f"{self.server} took too long to answer")
        return Dropped(f"{self.server} cut the connection ({str(error) or 'no answer'})")

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _connect(self) -> HTTPConnection:
        host = self._url.hostname or ""
        tls = self._tls() if self._url.scheme == "https" else None
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
            if tls:
                name = self._login.configuration.tls_server_name or host
                http.sock = tls.wrap_socket(http.sock, server_hostname=name)
        except (OSError, HTTPException) as error:
            http.close()
            through = f" through the proxy {proxy.hostname}:{proxy.port or 80}" if proxy else ""
            raise Unavailable(self._why(error, through)) from error
        return http

    def _proxy(self) -> urllib.parse.SplitResult | None:
        from kubernetes.client.rest import should_bypass_proxies

        login = self._login.configuration
        if not login.proxy or should_bypass_proxies(login.host, login.no_proxy or ""):
            return None
        proxy = urllib.parse.urlsplit(str(login.proxy))
        if proxy.scheme != "http":
            raise Unavailable(
                f"a proxy of the kind {proxy.scheme}:// is not supported; http:// is (the "
                "connection to the API server inside it stays encrypted)"
            )
        return proxy

    def _tls(self) -> "ssl.SSLContext":
        """Made anew for each connection: a refreshed login may bring other certificates."""
        login = self._login.configuration
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

    def _why(self, error: Exception, through: str) -> str:
        """Why there is no connection, and what to do about it."""
        why = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
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
        return f"{self.server}{through}: {why}"
