"""Registries on the loopback: with a program in an empty root, or that send layers when told to.

    python registry.py FOLDER PORT

serves what lay_out() wrote, in a network namespace of its own. A kubelet needs no more to begin a
pod's sandbox.
"""

import hashlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def lay_out(folder: Path, program: Path, arguments: list[str]) -> None:
    """An image of one layer with this program."""
    lay_out_layers(folder, {"program": program}, ["/program", *arguments])


def lay_out_layers(folder: Path, files: Mapping[str, Path], entrypoint: Sequence[str] = ()) -> None:
    """The image's parts by their digests, a layer for each file, and which is its manifest."""
    folder.mkdir()
    parts = []
    for name, file in files.items():
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            archive.add(file, arcname=name)
        parts.append(_part(folder, LAYER, layer.getvalue()))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [part["digest"] for part in parts]},
    }
    parts.insert(0, _part(folder, CONFIG, json.dumps(config).encode()))
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    part = _part(folder, MANIFEST, json.dumps(manifest).encode())
    (folder / "manifest").write_text(str(part["digest"]))


def _part(folder: Path, kind: str, content: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (folder / digest).write_bytes(content)
    return {"mediaType": kind, "size": len(content), "digest": digest}


def handler(
    folder: Path, share: float = 1.0, then: Callable[[], object] = lambda: None
) -> type[BaseHTTPRequestHandler]:
    """What answers for the image of this folder; `then` is called at this share of a layer."""
    manifest = (folder / "manifest").read_text()
    layers = {part["digest"] for part in json.loads((folder / manifest).read_text())["layers"]}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply()

        def do_GET(self) -> None:
            body = self.reply()
            first = int(len(body) * share)
            self.wfile.write(body[:first])
            if self.path.rpartition("/")[2] in layers:
                then()
            self.wfile.write(body[first:])

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

    return Handler


class Layers:
    """Registries of an image with ten layers each, that send all of a layer when told to go on."""

    def __init__(self, folder: Path, share: float = 0.5) -> None:
        self.folder = folder
        self.share = share  # of each layer, sent at once
        self.go = Event()
        self.asked = 0
        self._lock = Lock()

    @contextmanager
    def served(self, name: str) -> Iterator[str]:
        """The image's name, while it is served on the loopback."""
        files = {f"{name}-{i}": self.folder / f"{name}-{i}" for i in range(10)}
        for path in files.values():
            path.write_text(path.name)
        lay_out_layers(self.folder / name, files)
        answers = handler(self.folder / name, self.share, self._hold)
        with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
            Thread(target=server.serve_forever).start()
            try:
                yield f"127.0.0.1:{server.server_port}/{name}:1"
            finally:
                self.go.set()
                server.shutdown()

    def _hold(self) -> None:
        with self._lock:
            self.asked += 1
        self.go.wait()

    def settled(self) -> int:
        """How many layers were asked for once no more are. Raises TimeoutError if none is."""
        before = 0
        for _ in range(60):
            if before == self.asked != 0:
                return before
            before = self.asked
            time.sleep(0.5)
        raise TimeoutError("no pull asks for its layers")


def serve(folder: Path, port: int) -> None:
    ThreadingHTTPServer(("127.0.0.1", port), handler(folder)).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
