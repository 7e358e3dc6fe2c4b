"""Prometheus, or what answers its HTTP API (Thanos, Mimir, VictoriaMetrics), read-only."""

import base64
import http.client
import math
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from k8sdiag.model import ConfigError, Cost, Unavailable
from k8sdiag.readers import web

QUERY_SECONDS = 20.0  # its own default is 120: nobody waits so long for an answer on the way
REPLY_BYTES = 64 << 20  # 5,000 nodes have 1 MB a metric
WRITE = "write https://HOST:PORT"

Labels = dict[str, str]


class _Series(Struct, frozen=True):
    metric: Labels = {}
    value: tuple[float, str] = (0.0, "NaN")  # of an instant query
    values: list[tuple[float, str]] = []  # of a range query: (seconds since the epoch, number)


class _Data(Struct, frozen=True):
    result_type: str = msgspec.field(name="resultType", default="")
    result: msgspec.Raw = msgspec.Raw()


class _Answer(Struct, frozen=True):
    status: str = ""
    data: _Data = _Data()
    error: str = ""
    warnings: list[str] = []


class Prometheus:
    """The door to one Prometheus. Each query is a request of its own.

    Every method raises Unavailable with one line that names the server, never its credentials.
    """

    def __init__(self, url: str, user: str = "", token_file: Path | None = None) -> None:
        self.name = f"Prometheus at {url}"
        self.warnings: tuple[str, ...] = ()  # of the last answer: what it may have left out
        self.cost = Cost()
        self._url = url
        self._user = user  # "name:password"
        self._token_file = token_file
        self._dead = ""  # why it can't be reached: said once, not waited for again

    @classmethod
    def open(cls, url: str, token_file: Path | None = None) -> "Prometheus":
        """`url` as for Grafana: https://[USER:PASSWORD@]HOST[:PORT][/PREFIX]. Nothing is asked yet.

        The bearer token is read from its file at each query, since tokens rotate.
        Raises ConfigError for a URL that is none, and for a file that can't be read.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            shown = "what was given" if "@" in url else repr(url)
            raise ConfigError(f"--prometheus: {shown} is no URL of a Prometheus: {WRITE}")
        user = ""
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if user and token_file:
            raise ConfigError(
                "--prometheus has a user in it and --prometheus-token-file is given too: drop one"
            )
        if token_file:
            try:
                _token(token_file)
            except Unavailable as error:
                raise ConfigError(f"--prometheus-token-file: {error}") from error
        address = f"[{host}]" if ":" in host else host
        address += f":{port}" if port else ""
        prefix = parts.path.rstrip("/").removesuffix("/api/v1")
        return cls(f"{parts.scheme}://{address}{prefix}", user, token_file)

    def instant(self, promql: str) -> list[tuple[Labels, float]]:
        """The value that each series of the expression has now; a NaN says nothing: left out."""
        answer = self._ask("query", {"query": promql})
        if answer.result_type == "scalar":
            return [({}, float(msgspec.json.decode(answer.result, type=tuple[float, str])[1]))]
        return [
            (series.metric, float(series.value[1]))
            for series in self._series(answer)
            if not math.isnan(float(series.value[1]))
        ]

    def range(
        self, promql: str, seconds: float, step: float
    ) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """Each series over the last `seconds`, a sample every `step` seconds, the oldest first.

        A sample is (seconds since the epoch, value). Prometheus gives at most 11,000 a series.
        """
        end = time.time()
        query = {"query": promql, "start": f"{end - seconds:.3f}", "end": f"{end:.3f}"}
        return [
            (series.metric, [(at, float(value)) for at, value in series.values])
            for series in self._series(self._ask("query_range", {**query, "step": f"{step:g}"}))
        ]

    def gaps(self) -> dict[str, str]:
        """The warnings of the last answer, as a fact's gaps."""
        return {self.name: "; ".join(self.warnings)} if self.warnings else {}

    def _series(self, data: _Data) -> list[_Series]:
        try:
            return msgspec.json.decode(data.result, type=list[_Series])
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self.name}: a {data.result_type} came: {error}") from error

    def _ask(self, what: str, query: dict[str, str]) -> _Data:
        if self._dead:
            raise Unavailable(self._dead)
        query = {**query, "timeout": f"{QUERY_SECONDS:g}s"}
        url = f"{self._url}/api/v1/{what}?{urlencode(query)}"
        self.cost += Cost(api_requests=1)
        try:
            reply = web.fetch(
                url, seconds=QUERY_SECONDS + 2, most_bytes=REPLY_BYTES, headers=self._headers()
            )
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            line = f"{self.name}: {_why(error)}"
            if not isinstance(error, web.TooLargeError):
                self._dead = line
            raise Unavailable(line) from error
        self.cost += Cost(api_bytes=len(reply.body))
        try:
            answer = msgspec.json.decode(reply.body, type=_Answer)
        except msgspec.DecodeError as error:
            self._dead = f"{self.name}: {_stranger(reply)}"
            raise Unavailable(self._dead) from error
        if answer.status != "success":
            said = " ".join(answer.error.split()) or f"HTTP status {reply.status}"
            raise Unavailable(f"{self.name} refuses the query: {said}")
        self.warnings = tuple(answer.warnings)
        return answer.data

    def _headers(self) -> dict[str, str]:
        if self._user:
            return {"Authorization": "Basic " + base64.b64encode(self._user.encode()).decode()}
        if self._token_file:
            return {"Authorization": f"Bearer {_token(self._token_file)}"}
        return {}


def _token(file: Path) -> str:
    """Raises Unavailable, never with what stands in the file."""
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise Unavailable(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        raise Unavailable(f"{file}: holds no token in one line of text")
    return token


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted here ({error.verify_message}): add its CA to this "
            "system, or name the CA's file in SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({error.reason or error}): is it http:// ?"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name does not resolve from here"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: is the port right, or the port-forward gone?"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"no whole answer ({getattr(error, 'strerror', None) or error})"


def _stranger(reply: web.Reply) -> str:
    """What it means that the reply is not Prometheus' JSON."""
    match reply.status:
        case 401 | 403:
            return (
                f"it refuses us (HTTP status {reply.status}): give --prometheus-token-file, or "
                "https://USER:PASSWORD@HOST"
            )
        case 301 | 302 | 303 | 307 | 308:
            return "it redirects, as to a page for a login: give the address behind it"
        case 200 | 404:
            return "no Prometheus API answers there: give the URL up to /api/v1"
    return f"it answers with HTTP status {reply.status}"
