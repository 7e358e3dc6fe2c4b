"""A registry on the loopback of a network namespace, with one image: a program in an empty root.

    python registry.py FOLDER PORT

serves what lay_out() wrote. A kubelet needs no more to begin a pod's sandbox.
"""

import hashlib
import io
import json
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def lay_out(folder: Path, program: Path, arguments: list[str]) -> None:
    """The image's parts by their digests, and which of them is its manifest."""
    folder.mkdir()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(program, arcname="program")
    parts = [_part(folder, LAYER, layer.getvalue())]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/program", *arguments]},
        "rootfs": {"type": "layers", "diff_ids": [parts[0]["digest"]]},
    }
    parts.insert(0, _part(folder, CONFIG, json.dumps(config).encode()))
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    part = _part(folder, MANIFEST, json.dumps(manifest).encode())
    (folder / "manifest").write_text(str(part["digest"]))


def _part(folder: Path, kind: str, content: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (folder / digest).write_bytes(content)
    return {"mediaType": kind, "size": len(content), "digest": digest}


def serve(folder: Path, port: int) -> None:
    manifest = (folder / "manifest").read_text()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply()

        def do_GET(self) -> None:
            self.wfile.write(self.reply())

        def reply(self) -> bytes:
            name = self.path.rpartition("/")[2]
            body = (folder / (name if name.startswith("sha256:") else manifest)).read_bytes()
            is_manifest = "/manifests/" in self.path
            self.send_response(200)
            kind = MANIFEST if is_manifest else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if is_manifest:
                self.send_header("Docker-Content-Digest", manifest)
            self.end_headers()
            return body

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
