"""Priority and fairness of a real API server that refuses all lists of one user with 429.

His level has no seats. Such a level still lets one request run when it is idle, so one list is
kept running: its client does not read what comes, until the server gives up after a minute.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, create_connection

from tests.real.apiserver import ApiServer

USER = "refused"
LEVEL = "no-seats"
FLOWCONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
LARGE, BYTES = 24, 900_000  # more than the buffers of both ends of a connection hold


@contextmanager
def refusing_lists(server: ApiServer) -> Iterator[Path]:
    """The kubeconfig of a user who may do everything, and whose lists find no seat."""
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    lists = {
        "verbs": ["list"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "clusterScope": True,
        "namespaces": ["*"],
    }
    him = {"kind": "User", "user": {"name": USER}}
    schema = {
        "matchingPrecedence": 2,  # the first after the exempt ones
        "priorityLevelConfiguration": {"name": LEVEL},
        "rules": [{"subjects": [him], "resourceRules": [lists]}],
    }
    api = "rbac.authorization.k8s.io"
    binding: dict[str, object] = {
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": api, "kind": "User", "name": USER}],
    }
    level: dict[str, object] = {"spec": {"type": "Limited", "limited": limited}}
    blob = "x" * BYTES
    with ExitStack() as stack:
        objects: list[tuple[str, str, dict[str, object]]] = [
            (f"{FLOWCONTROL}/prioritylevelconfigurations", LEVEL, level),
            (f"{FLOWCONTROL}/flowschemas", USER, {"spec": schema}),
            (BINDINGS, USER, binding),
        ]
        objects += [(CONFIGMAPS, f"large-{i}", {"data": {"x": blob}}) for i in range(LARGE)]
        for collection, name, body in objects:
            server.admin.create(collection, {"metadata": {"name": name}, **body})
            stack.callback(server.admin.raw, "DELETE", f"{collection}/{name}")
        stack.enter_context(_list_that_nobody_reads(server))
        yield server.kubeconfig(USER)


@contextmanager
def _list_that_nobody_reads(server: ApiServer) -> Iterator[None]:
    """Begun once the level is in force: what comes before that does not count."""
    pair = server.authority.issue(USER)
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(pair.cert, pair.key)
    with create_connection(("127.0.0.1", server.port)) as plain:
        plain.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            head = f"GET {CONFIGMAPS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            connection.sendall(head.encode())
            first = connection.recv(1024)
            assert first.startswith(b"HTTP/1.1 200"), first
            yield
