"""How the API is asked, and what is made of every kind of answer.

What a login needs is in test_kubeconfig.py, connections and certificates are in test_https.py.
"""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import Struct

from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers import api, pages
from k8sdiag.readers.api import Api
from k8sdiag.readers.kubeconfig import load
from k8sdiag.readers.kubernetes import Incomplete, Kubernetes, NotFound
from tests.scripted_api import JSON, Answer, ScriptedApi, kubeconfig, listed, refused, scripted

PODS = Permission(resource="pods")
BUSY = Answer(
    b"Too many requests, please try again later.\n",
    429,
    {"Content-Type": "text/plain; charset=utf-8", "Retry-After": "7"},
)
BROKEN = refused(500, "etcdserver: leader changed")
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response"
)


class Item(Struct):
    name: str


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with scripted() as server:
        yield server


@pytest.fixture
def door(server: ScriptedApi, tmp_path: Path) -> Iterator[Kubernetes]:
    door = Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
    yield door
    door.close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause that is made, in seconds; none of them is waited for."""
    made: list[float] = []
    clock = SimpleNamespace(sleep=made.append, monotonic=time.monotonic)
    monkeypatch.setattr(api, "time", clock)
    monkeypatch.setattr(pages, "time", clock)
    return made


def names(*found: str) -> list[dict[str, str]]:
    return [{"name": name} for name in found]


def read(door: Kubernetes) -> list[str]:
    return [i.name for page in door.pages("/api/v1/pods", Item, PODS) for i in page]


# Lists


def test_the_next_page_is_asked_for_while_this_one_is_worked_on(
    server: ScriptedApi, door: Kubernetes
) -> None:
    server.answers = [
        Answer(listed({"name": "a"}, token="t1", remaining=2), chunked=True),
        Answer(listed({"name": "b"}, token="t2", remaining=1), chunked=True),
        Answer(listed({"name": "c"})),
    ]
    found = door.pages("/api/v1/pods", Item, PODS)

    assert next(found)[0].name == "a"
    server.wait_for(2)

    assert [page[0].name for page in found] == ["b", "c"]
    assert [request.query for request in server.asked] == [
        {"limit": "500"},
        {"limit": "500", "continue": "t1"},
        {"limit": "500", "continue": "t2"},
    ]
    assert (server.connections, server.most_in_flight) == (1, 1)


def test_a_list_without_items(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}')]

    assert read(door) == []


def test_a_token_that_stands_behind_the_items_is_found_too(
    server: ScriptedApi, door: Kubernetes
) -> None:
    page = {"items": names("a"), "metadata": {"continue": "t1"}}
    server.answers = [Answer(json.dumps(page).encode()), Answer(listed({"name": "b"}))]

    assert read(door) == ["a", "b"]


def test_an_item_that_says_continue_is_not_the_list_saying_it(
    server: ScriptedApi, door: Kubernetes
) -> None:
    server.answers = [Answer(listed({"continue": "t1", "name": "a"}))]

    assert read(door) == ["a"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("version", "limit"),
    [("v1.33.9", "500"), ("v1.34.0", "1000"), ("v1.36.3-eks-1", "1000"), ("who knows", "500")],
)
def test_page_size(server: ScriptedApi, tmp_path: Path, version: str, limit: str) -> None:
    server.version = version
    server.answers = [Answer(listed()), Answer(listed())]
    door = Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
    list(door.pages("/api/v1/pods", Item, PODS))
    list(door.pages("/api/v1/nodes", Item, PODS, limit=200, params={"fieldSelector": "a!=b"}))
    door.close()

    assert server.asked[0].query == {"limit": limit}
    assert server.asked[1].query == {"limit": "200", "fieldSelector": "a!=b"}


def test_it_says_who_asks(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(listed())]
    read(door)

    assert server.asked[0].headers["User-Agent"].startswith("k8sdiag/")
    assert server.asked[0].headers["Accept"] == "application/json"


def test_progress(server: ScriptedApi, door: Kubernetes) -> None:
    told: list[tuple[str, int, int | None]] = []
    door.progress = lambda what, done, total: told.append((what, done, total))
    server.answers = [
        Answer(listed(*names("a", "b"), token="t1", remaining=3)),
        Answer(listed(*names("c"), token="t2")),  # with a selector the server does not count
        Answer(listed(*names("d"))),
    ]
    read(door)

    assert told == [("pods", 2, 5), ("pods", 3, None), ("pods", 4, 4)]


def test_the_cost_is_counted(server: ScriptedApi, door: Kubernetes) -> None:
    before = door.cost
    body = listed(*names("a"))
    server.answers = [Answer(body), BUSY, Answer(body)]
    read(door)
    read(door)

    assert door.cost.api_requests == before.api_requests + 3
    assert door.cost.api_bytes == before.api_bytes + 2 * len(body) + len(BUSY.body)


def test_a_packed_reply_costs_its_packed_size(server: ScriptedApi, tmp_path: Path) -> None:
    body = listed(*names(*"abc" * 100))
    packed = gzip.compress(body)
    server.answers = [Answer(packed, headers={**JSON, "Content-Encoding": "gzip"})]
    remote = Api(load(kubeconfig(tmp_path / "config", server.url), None), gzip=True)

    assert remote.ask("/api/v1/pods", PODS, time.monotonic() + 5).body == body
    assert server.asked[0].headers["Accept-Encoding"] == "gzip"
    assert remote.cost.api_bytes == len(packed)
    remote.close()


def test_a_list_that_expires_on_the_way_is_resumed_and_says_so(
    server: ScriptedApi, door: Kubernetes
) -> None:
    server.answers = [
        Answer(listed({"name": "a"}, token="t1")),
        refused(410, TOO_OLD, **{"continue": "from-here"}),
        Answer(listed({"name": "b"})),
    ]
    found = door.pages("/api/v1/pods", Item, PODS)

    assert [page[0].name for page in found] == ["a", "b"]
    assert server.asked[2].query["continue"] == "from-here"
    assert "resumed" in found.provenance


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([refused(410, TOO_OLD)], id="expired, and no token to resume with"),
        pytest.param([refused(410, TOO_OLD, **{"continue": "x"})] * 2, id="expired twice"),
        pytest.param([BROKEN, BROKEN], id="the server fails twice"),
        pytest.param([Answer(b'{"items":', cut=4)] * 2, id="cut twice"),
        pytest.param([BUSY] * api.BUSY_TRIES, id="busy for good"),
        pytest.param([Answer(b"<html>")], id="not JSON"),
    ],
)
def test_a_list_that_breaks_off_is_never_taken_for_whole(
    server: ScriptedApi, door: Kubernetes, answers: list[Answer]
) -> None:
    server.answers = [Answer(listed(*names("a", "b"), token="t1")), *answers]
    found = door.pages("/api/v1/pods", Item, PODS)

    assert [item.name for item in next(found)] == ["a", "b"]
    with pytest.raises(Incomplete, match=r"^the list of pods broke off after 2: .+"):
        next(found)


def test_a_list_has_a_deadline(
    server: ScriptedApi, door: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LIST_SECONDS", 0.2)
    server.answers = [
        Answer(listed({"name": "a"}, token="t1")),
        Answer(listed({"name": "b"}, token="t2"), after_seconds=0.5),
    ]
    found = door.pages("/api/v1/pods", Item, PODS)

    assert next(found)[0].name == "a"
    with pytest.raises(Incomplete, match="took too long"):
        next(found)


def test_a_slow_server_gets_a_pause_as_long_as_its_page_took(
    server: ScriptedApi, door: Kubernetes, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setattr(pages, "SLOW_SECONDS", 0.05)
    server.answers = [
        Answer(listed({"name": "a"}, token="t1"), after_seconds=0.1),
        Answer(listed({"name": "b"})),
    ]
    found = door.pages("/api/v1/pods", Item, PODS)

    assert next(found)[0].name == "a"
    time.sleep(0.05)
    assert len(server.asked) == 1  # it is not asked ahead
    assert next(found)[0].name == "b"
    (pause,) = pauses
    assert 0.1 <= pause < 1


def test_a_list_that_is_given_up_leaves_the_connection_usable(
    server: ScriptedApi, door: Kubernetes
) -> None:
    server.answers = [
        Answer(listed({"name": "a"}, token="t1")),
        Answer(listed({"name": "b"})),
        Answer(b"{}"),
    ]
    found = door.pages("/api/v1/pods", Item, PODS)
    next(found)
    server.wait_for(2)
    del found

    assert door.get("/api/v1/namespaces/kube-system", PODS) == b"{}"


# One request


@pytest.mark.parametrize(
    ("answers", "pause"),
    [
        pytest.param([BUSY], [7.0], id="busy: waits as long as the server says"),
        pytest.param([BUSY] * 4, [7.0] * 4, id="busy for a while"),
        pytest.param([BROKEN], [1.0], id="an error of the server's"),
        pytest.param([Answer(b'{"cut":', cut=3)], [], id="cut, and it had told the length"),
        pytest.param([Answer(b'{"cut":', cut=3, chunked=True)], [], id="cut in a chunk"),
    ],
)
def test_what_is_asked_again(
    server: ScriptedApi,
    door: Kubernetes,
    pauses: list[float],
    answers: list[Answer],
    pause: list[float],
) -> None:
    server.answers = [*answers, Answer(b"{}")]

    assert door.get("/api/v1/nodes/a", PODS) == b"{}"
    assert pauses == pause


def test_a_connection_that_was_closed_while_idle_is_opened_again(
    server: ScriptedApi, door: Kubernetes
) -> None:
    server.answers = [Answer(b"{}", hang_up=True), Answer(b"[]")]

    assert door.get("/a", PODS) == b"{}"
    assert door.get("/a", PODS) == b"[]"
    assert len(server.asked) == 2


def test_who_was_refused_to_the_end_asks_less_often(
    server: ScriptedApi, door: Kubernetes, pauses: list[float]
) -> None:
    server.answers = [BUSY] * (api.BUSY_TRIES + api.STILL_BUSY_TRIES)

    for path in ("/a", "/b"):
        with pytest.raises(Unavailable, match="too busy"):
            door.get(path, PODS)
    assert [request.path for request in server.asked] == ["/a"] * 5 + ["/b"] * 2
    assert pauses == [7.0] * 5


def test_a_retry_after_that_is_too_long_is_not_waited_for(
    server: ScriptedApi, door: Kubernetes, pauses: list[float]
) -> None:
    server.answers = [Answer(b"", 429, {"Retry-After": "3600"})]

    with pytest.raises(Unavailable, match="too busy"):
        door.get("/a", PODS)
    assert pauses == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            refused(403, 'pods is forbidden: User "me" cannot list resource "pods"'),
            'may not list "pods": grant "list" on "pods" (k8sdiag rbac prints the role)',
            id="forbidden",
        ),
        pytest.param(
            refused(403, 'pods is forbidden: User "system:anonymous" cannot list resource "pods"'),
            'may not list "pods" (the server takes us for anonymous): grant "list" on "pods" '
            "(k8sdiag rbac prints the role)",
            id="forbidden to nobody",
        ),
        pytest.param(
            refused(401, "Unauthorized"),
            'the API server SERVER refuses the credentials of context "lab" of CONFIG: they have '
            "expired or are wrong; log in again",
            id="unauthorized",
        ),
        pytest.param(
            refused(410, "The resourceVersion is too old."),
            "/a: The resourceVersion is too old.",
            id="gone",
        ),
        pytest.param(
            Answer(b"no healthy upstream\nat all", 502, {"Content-Type": "text/plain"}),
            "/a: the API server SERVER answers: no healthy upstream",
            id="a load balancer without API servers",
        ),
        pytest.param(
            Answer(b"<html><body>Log in</body></html>", 302, {"Content-Type": "text/html"}),
            "/a: the API server SERVER answers: HTTP status 302",
            id="a login page",
        ),
    ],
)
def test_a_refusal_is_one_line_with_the_mend(
    server: ScriptedApi, door: Kubernetes, tmp_path: Path, answer: Answer, message: str
) -> None:
    server.answers = [answer, answer]

    with pytest.raises(Unavailable) as caught:
        door.get("/a", PODS)
    message = message.replace("SERVER", server.url.removeprefix("http://"))
    assert str(caught.value) == message.replace("CONFIG", str(tmp_path / "config"))


def test_what_does_not_exist_is_told_apart(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [refused(404, "the server could not find the requested resource")]

    with pytest.raises(NotFound, match=r"^/a: the server could not find"):
        door.get("/a", PODS)


def test_a_server_that_does_not_answer(server: ScriptedApi, door: Kubernetes) -> None:
    server.answers = [Answer(b"{}", after_seconds=0.4)]
    begin = time.monotonic()

    with pytest.raises(Unavailable, match="took too long to answer"):
        door.get("/a", PODS, timeout_seconds=0.1)
    assert time.monotonic() - begin < 0.3


def test_a_server_that_hides_its_version(server: ScriptedApi, tmp_path: Path) -> None:
    server.version = refused(403, 'forbidden: User "me" cannot get path "/version"')
    door = Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
    door.close()

    assert (door.name, door.server) == ("lab-cluster", "")


def test_what_is_no_api_server(server: ScriptedApi, tmp_path: Path) -> None:
    server.version = Answer(b"<html>", headers={"Content-Type": "text/html"})

    with pytest.raises(Unavailable, match=r"^the API server 127\.0\.0\.1:\d+: .* Kubernetes API"):
        Kubernetes.open(kubeconfig(tmp_path / "config", server.url))
