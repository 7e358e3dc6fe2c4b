"""The tls_server_config of a web configuration file -> an SSL context."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import ssl

_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
# Go's names and OpenSSL's. Suites without forward secrecy are left out, as in Go itself.
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
# Suites of TLS 1.3 may be named and are always on, in Go and here.
_CIPHERS_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


class Tls(Struct, forbid_unknown_fields=True):
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = ""
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: list[str] = []
    prefer_server_cipher_suites: bool = True


def context(tls: Tls, files: Sequence[Path]) -> "ssl.SSLContext | None":
    """What to serve with; None: plain HTTP. `files` are certificate, key and the clients' CA.

    Raises ValueError with what is wrong and the mend.
    """
    lowest, highest = _versions(tls)
    ciphers = _ciphers(tls)
    if not files and not tls.client_auth_type:
        return None
    import ssl

    for name in ("cert_file", "key_file"):
        if not getattr(tls, name):
            raise ValueError(f"tls_server_config: {name} is missing")
    for file in files:
        try:
            file.read_bytes()
        except OSError as error:
            raise ValueError(f"{file} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion[lowest]
    context.maximum_version = ssl.TLSVersion[highest]
    if ciphers:
        context.set_ciphers(":".join(ciphers))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # Never ask for a password on a terminal.
        context.load_cert_chain(files[0], files[1], password="")
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"{files[0]} and {files[1]} are no certificate and its key") from error
    if _asks_for_certificate(tls):
        optional = tls.client_auth_type == "VerifyClientCertIfGiven"
        context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
        try:
            if tls.client_ca_file:
                context.load_verify_locations(files[2])
            else:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        except ssl.SSLError as error:
            raise ValueError(f"{files[2]} holds no certificate") from error
    return context


def _asks_for_certificate(tls: Tls) -> bool:
    kind = tls.client_auth_type
    if kind in ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert"):
        return True
    if kind in ("RequireAnyClientCert", "RequireClientCert"):
        raise ValueError(
            f"client_auth_type: {kind} lets in whoever made a certificate for himself: "
            "use RequireAndVerifyClientCert"
        )
    # RequestClientCert verifies none and nothing is made of it: not to ask comes to the same.
    if kind not in ("", "NoClientCert", "RequestClientCert"):
        raise ValueError(f"client_auth_type: {kind} is none")
    if tls.client_ca_file and kind != "RequestClientCert":
        raise ValueError("client_ca_file needs client_auth_type: RequireAndVerifyClientCert")
    return False


def _versions(tls: Tls) -> tuple[str, str]:
    """The names of ssl.TLSVersion. Nothing older than TLS 1.2 is spoken (RFC 8996)."""
    for name, value in (("min_version", tls.min_version), ("max_version", tls.max_version)):
        if value not in _VERSIONS:
            raise ValueError(f"{name}: {value} is none: there are {', '.join(_VERSIONS)}")
    if tls.max_version < max(tls.min_version, "TLS12"):
        raise ValueError(f"max_version: {tls.max_version} leaves no version that is spoken here")
    only_13 = tls.cipher_suites and not _ciphers(tls)
    lowest = "TLS13" if only_13 else max(tls.min_version, "TLS12")
    return lowest.replace("TLS1", "TLSv1_"), tls.max_version.replace("TLS1", "TLSv1_")


def _ciphers(tls: Tls) -> list[str]:
    if wrong := [c for c in tls.cipher_suites if c not in _CIPHERS and c not in _CIPHERS_13]:
        raise ValueError(f"cipher_suites: {wrong[0]} is not supported")
    return [_CIPHERS[c] for c in tls.cipher_suites if c in _CIPHERS]
