"""One name for one image: what a pod asks for and what a node says it holds."""

_HUB = "docker.io"


def normalize(name: str) -> str:
    """The full name as runtimes report it: "nginx" -> "docker.io/library/nginx:latest".

    The rules are those of ParseNormalizedNamed in github.com/distribution/reference. Of a name
    with both tag and digest the digest counts: it alone decides what is pulled.
    """
    name, _, digest = name.strip().partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = _HUB, name
    if first in ("index.docker.io", _HUB):
        first = _HUB
        rest = rest if "/" in rest else f"library/{rest}"
    folder, _, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    path = f"{folder}/{last}" if folder else last
    return f"{first}/{path}@{digest}" if digest else f"{first}/{path}:{tag or 'latest'}"


def registry(name: str) -> str:
    """The host that serves a normalized name: "docker.io", "r.example:5000"."""
    return name.partition("/")[0]
