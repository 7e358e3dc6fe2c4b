"""Why image pulls failed, from what kubelets write: no text is kept, only the cause.

A kubelet's own words are matched whole (pkg/kubelet/images); the error of the container runtime
inside them by what containerd, containers/image, Docker and registries write. Names of images and
addresses are taken out first: an image may be called toomanyrequests.
"""

import re

from k8sdiag.pulls.imagename import normalize

OTHER = "other"

# In this order: what is told more exactly comes first, as an error wraps others.
_CAUSES = {
    "too-many-requests": r"toomanyrequests|429 Too Many Requests|\bpull rate limit",
    "disk-full": r"no space left on device",
    "wrong-platform": r"no match for platform|no matching manifest for|no image found in (image "
    r"index|manifest list)",
    "not-signed": r"signature validation failed|Source image rejected|[Ss]ignature was required",
    "not-trusted": r"\bx509: |\btls: |server gave HTTP response to HTTPS client",
    "name-lookup": r"\blookup \S+( on \S+)?: |no such host|server misbehaving"
    r"|Temporary failure in name resolution",
    "unreachable": r"connection refused|no route to host|network is unreachable|i/o timeout"
    r"|TLS handshake timeout|Client\.Timeout exceeded|proxyconnect tcp|\bdial tcp\b",
    "interrupted": r"short read|unexpected EOF|connection reset by peer|: EOF$|stream error: ",
    "registry-down": r"registry is unavailable|\b50[0234] (Internal Server Error|Bad Gateway"
    r"|Service Unavailable|Gateway Time-?out)",
    "no-access": r"401 Unauthorized|403 Forbidden|\bunauthorized: |\bdenied: |pull access denied"
    r"|authentication required|authorization failed|insufficient_scope|no basic auth credentials",
    "not-found": r"manifest unknown|name unknown|\bnot found\b|404 Not Found",
    "bad-name": r"invalid reference format|couldn't parse image|must be lowercase",
    "no-progress": r"context canceled|code = Canceled\b",
    "too-slow": r"context deadline exceeded|code = DeadlineExceeded\b",
}
_EXPRESSIONS = {cause: re.compile(expression) for cause, expression in _CAUSES.items()}
_OVER_QPS = "pull QPS exceeded"

_FAILED = re.compile(r'Failed to pull image "(?P<image>[^"\s]{1,1024})": (?P<error>.+)', re.DOTALL)
_BACK_OFF = re.compile(r'Back-off pulling image "[^"\s]{1,1024}"(?:: ErrImagePull: (?P<error>.+))?',
                       re.DOTALL)  # fmt: skip
_MOST = 4096  # characters; the kubelet cuts the message of an event at 1024

# Of a container that waits; the two that the dictionary lacks say more in their message.
_REASONS = {
    "ErrImageNeverPull": "never-pulled",
    "ImageInspectError": "not-inspected",
    "InvalidImageName": "bad-name",
    "RegistryUnavailable": "registry-down",
    "SignatureValidationFailed": "not-signed",
}
_PULLING = ("ErrImagePull", "ImagePullBackOff")

CAUSES = ("over-qps", *_CAUSES, "never-pulled", "not-inspected", OTHER)


def of_event(message: str) -> tuple[str, str] | None:
    """The image and the cause in a kubelet's event of reason Failed; None for any other text."""
    found = _FAILED.fullmatch(message[:_MOST])
    return (found["image"], _cause(found["error"], found["image"])) if found else None


def of_waiting(reason: str, message: str, image: str) -> str | None:
    """Why a container waits for its image; "" is unknown, None that it waits for something else.

    Kubelets before 1.32 do not tell the cause while they back off.
    """
    if reason in _REASONS:
        return _REASONS[reason]
    if reason not in _PULLING:
        return None
    error: str | None = message[:_MOST]
    if reason == "ImagePullBackOff":
        found = _BACK_OFF.fullmatch(message[:_MOST])
        error = found["error"] if found else None
    return _cause(error, image) if error else ""


def _cause(error: str, image: str) -> str:
    error = error.strip()
    if error == _OVER_QPS:
        return "over-qps"
    error = re.sub(r'"[^"]*"|https?://\S+', "", error)
    for name in sorted({image, normalize(image)}, key=len, reverse=True):
        error = error.replace(name, "")
    return next((c for c, expression in _EXPRESSIONS.items() if expression.search(error)), OTHER)
