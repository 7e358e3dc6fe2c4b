"""What went wrong with an etcd endpoint, as one line with the mend.

grpc's own words for a refused certificate are "Socket closed" or less, so a connection is tried
with the standard library first and judged here.
"""

import socket
import ssl
from pathlib import Path
from typing import Any

from k8sdiag.readers.etcd_credentials import Files

# OpenSSL's verification codes (x509_vfy.h).
_EXPIRED = 10
_WRONG_NAME = (62, 64)  # host name, IP address

# A user is missing, or has not the right; from 3.6 on a token that it does not know.
REFUSED = ("PERMISSION_DENIED", "INVALID_ARGUMENT", "UNAUTHENTICATED")

_ROLE = (
    "etcd has users of its own: give --etcd-user, or a client certificate whose common name is "
    "one, with the root role (etcdctl user grant-role USER root)"
)


def connecting(error: OSError | UnicodeError, files: Files) -> str:
    """Why no connection, or no TLS session, came about."""
    if isinstance(error, ssl.SSLError):
        return _handshake(error, files)
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name does not resolve from here"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: etcd does not run there, or listens on another address"
    if isinstance(error, TimeoutError):
        return "no answer in time: a firewall drops it, the host is down, or etcd hangs"
    return f"no connection: {error.strerror or error}"


def _handshake(error: "ssl.SSLError", files: Files) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, files.cacert)
    if _alert(error):  # as TLS 1.2 has it; with TLS 1.3 it comes after the handshake
        return closed(error, files, tls=True)
    if _ended(error):
        return "does not speak TLS there: write http:// for it"
    return f"TLS fails: {error.reason or error}"


def _untrusted(error: "ssl.SSLCertVerificationError", cacert: Path | None) -> str:
    if error.verify_code in _WRONG_NAME:
        return f"its certificate is for another name: {error.verify_message}"
    if error.verify_code == _EXPIRED:
        return "its certificate has expired: renew it (kubeadm certs renew etcd-server)"
    by = cacert or "any CA of this system"
    return (
        f"its certificate is not signed by {by} ({error.verify_message}): give etcd's own CA "
        "with --etcd-cacert"
    )


def closed(error: Exception, files: Files, *, tls: bool) -> str:
    """Why an established session may have ended at once; "" when the error says nothing of it."""
    if not tls:
        return "closes a plain connection: write https:// for it" if _ended(error) else ""
    if files.cert and (_alert(error) or _ended(error)):
        return (
            f"refuses the client certificate {files.cert}: it is not signed by the CA that etcd "
            "trusts"
        )
    if _alert(error):
        return "asks for a client certificate: give one with --etcd-cert and --etcd-key"
    return ""


def _alert(error: Exception) -> bool:
    """Whether the other side's TLS said that our certificate will not do."""
    reason = getattr(error, "reason", "") or ""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)


def _ended(error: Exception) -> bool:
    """Whether the other side closed, or answered in something that is not TLS."""
    if isinstance(error, ssl.SSLError):
        return isinstance(error, ssl.SSLEOFError) or error.reason == "WRONG_VERSION_NUMBER"
    return isinstance(error, ConnectionResetError | BrokenPipeError)


def calling(error: Any, method: str) -> str:
    """Why a gRPC call failed; `error` is a grpc.RpcError, which has no typed form."""
    code, details = error.code().name, " ".join(str(error.details()).split())
    if code in REFUSED:
        return f"{method} is refused ({details}): {_ROLE}"
    match code:
        case "DEADLINE_EXCEEDED":
            return f"{method} did not answer in time"
        case "UNIMPLEMENTED":
            return f"{method} is unknown to it: no etcd with the v3 API answers there"
    return f"{method} fails ({code}: {details})"


def logging_in(error: Any, user: str) -> str:
    """Why --etcd-user got no token; `error` is a grpc.RpcError."""
    if error.code().name in REFUSED:
        return f"--etcd-user {user}: etcd does not know this user with this password"
    if error.code().name == "DEADLINE_EXCEEDED":
        return "a login needs a leader, and there was no answer in time; a certificate needs none"
    return calling(error, "Authenticate")
