"""A real kube-apiserver on a real etcd, with RBAC, and kubeconfigs for whom one likes."""

import base64
import http.client
import json
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.real import etcd
from tests.real.bed import free_ports, program, running
from tests.real.etcd import EtcdCluster
from tests.real.pki import Authority, Pair, signing_key

ADMINS = "system:masters"
READY_SECONDS = 90.0


class Refused(Exception):  # noqa: N818  (what the server did, not what went wrong with us)
    """The API server's answer is not a 2xx; the message has its status and its words."""


class Admin:
    """An admin's one kept-alive connection: raw JSON in, decoded JSON out, thousands a minute."""

    def __init__(self, port: int, ca: Path, pair: Pair) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(pair.cert, pair.key)
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=context, timeout=30
        )

    def raw(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of a reply, whatever the status."""
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            try:
                return self._ask(method, path, data, headers)
            except (ConnectionResetError, ssl.SSLEOFError):
                self._connection.close()  # it was idle for long, and the server has closed it
                return self._ask(method, path, data, headers)
        except BaseException:  # Ctrl-C too: half a reply is no place to begin the next request
            self._connection.close()
            raise

    def _ask(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, data, headers)
        reply = self._connection.getresponse()
        return reply.status, reply.read()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The decoded body of a reply. Raises Refused unless the status is a 2xx."""
        status, reply = self.raw(method, path, body)
        if not 200 <= status < 300:
            raise Refused(f"{method} {path}: {status} {reply.decode(errors='replace')[:500]}")
        return json.loads(reply)

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def create(self, collection: str, obj: object) -> Any:
        """POST to a collection such as /api/v1/nodes."""
        return self.request("POST", collection, obj)

    def put_status(self, path: str, obj: object) -> Any:
        """PUT an object with its status, e.g. to /api/v1/namespaces/a/pods/b."""
        return self.request("PUT", f"{path}/status", obj)

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class ApiServer:
    """A running API server. `admin` may do everything."""

    url: str
    port: int
    authority: Authority
    admin: Admin
    etcd: EtcdCluster
    pid: int
    log: Path
    folder: Path

    @property
    def ca(self) -> Path:
        return self.authority.ca

    def kubeconfig(
        self,
        user: str,
        groups: Sequence[str] = (),
        *,
        server: str = "",
        ca: Path | None = None,
        pair: Pair | None = None,
        server_name: str = "",
    ) -> Path:
        """A kubeconfig (JSON, which is YAML) with a client certificate of this user inside.

        ("admin", [ADMINS]) may do everything; a user that no role names may do nothing.
        `server`, `ca` and `pair` stand in for the right ones: to make what goes wrong.
        """
        file = f"{user.replace(':', '-')}-{uuid4().hex[:8]}"
        pair = pair or self.authority.issue(user, organizations=groups, hosts=(), file=file)
        cluster = {
            "server": server or self.url,
            "certificate-authority-data": _data(ca or self.ca),
        }
        if server_name:
            cluster["tls-server-name"] = server_name
        keys = {"client-certificate-data": _data(pair.cert), "client-key-data": _data(pair.key)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": keys}],
        }
        path = self.folder / f"{file}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@contextmanager
def started(
    folder: Path,
    *,
    extra_args: Sequence[str] = (),
    quota_bytes: int | None = None,
    members: int = 1,
) -> Iterator[ApiServer]:
    """An API server that is ready, on an etcd of its own, until the block ends.

    No controller runs beside it, so a pod needs no service account and no node is ever tainted.
    With root it listens on every address, for a kubelet in a namespace of its own; each client
    must show a certificate or a token.
    """
    apiserver = program("kube-apiserver")
    # Nobody needs this data after a crash of the machine, and thousands of writes need no fsync.
    fast = ["--unsafe-no-fsync"]
    with etcd.started(
        folder / "etcd", members=members, quota_bytes=quota_bytes, extra_args=fast
    ) as store:
        authority = Authority(folder / "pki", "kubernetes-ca")
        server = authority.issue("kube-apiserver")
        to_kubelet = authority.issue("kube-apiserver-kubelet-client", organizations=[ADMINS])
        accounts = signing_key(folder / "pki", "service-accounts")
        (port,) = free_ports(1)
        options: dict[str, object] = {
            "bind-address": "0.0.0.0" if os.geteuid() == 0 else "127.0.0.1",
            "secure-port": port,
            "advertise-address": "198.18.0.1",  # needed where there is no default route
            "endpoint-reconciler-type": "none",
            "cert-dir": folder,
            "tls-cert-file": server.cert,
            "tls-private-key-file": server.key,
            "client-ca-file": authority.ca,
            "anonymous-auth": "false",
            "authorization-mode": "Node,RBAC",
            "disable-admission-plugins": "ServiceAccount",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": accounts.cert,
            "service-account-signing-key-file": accounts.key,
            "service-cluster-ip-range": "10.96.0.0/16",
            "kubelet-certificate-authority": authority.ca,
            "kubelet-client-certificate": to_kubelet.cert,
            "kubelet-client-key": to_kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
            "etcd-servers": ",".join(store.endpoints),
            "etcd-cafile": store.ca,
            "etcd-certfile": store.cert,
            "etcd-keyfile": store.key,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [apiserver, *flags, *extra_args]
        admin = Admin(port, authority.ca, authority.issue("admin", organizations=[ADMINS]))

        def ready() -> bool:
            try:
                return admin.raw("GET", "/readyz")[0] == 200
            except OSError:
                return False

        with running("kube-apiserver", command, folder) as process, closing(admin):
            process.await_ready(ready, READY_SECONDS)
            yield ApiServer(
                url=f"https://127.0.0.1:{port}",
                port=port,
                authority=authority,
                admin=admin,
                etcd=store,
                pid=process.pid,
                log=process.log,
                folder=folder,
            )
