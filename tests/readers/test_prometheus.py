"""The door to Prometheus: what it makes of answers and of servers that are none."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8sdiag.model import ConfigError, Unavailable
from k8sdiag.readers import prometheus, web
from k8sdiag.readers.prometheus import Prometheus
from tests.scripted_api import Answer, ScriptedApi, scripted


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with scripted() as running:
        yield running


def data(kind: str, result: object, **more: object) -> Answer:
    answer = {"status": "success", "data": {"resultType": kind, "result": result}, **more}
    return Answer(json.dumps(answer).encode())


def test_an_instant_query(server: ScriptedApi) -> None:
    one = {"metric": {"__name__": "up", "job": "etcd"}, "value": [1.5, "1"]}
    none = {"metric": {"job": "other"}, "value": [1.5, "NaN"]}
    server.answers = [data("vector", [one, none]), data("scalar", [1.5, "+Inf"])]
    door = Prometheus.open(server.url + "/prefix/")

    assert door.instant('up{job=~"a|b"}') == [({"__name__": "up", "job": "etcd"}, 1.0)]
    assert door.instant("scalar(up)") == [({}, float("inf"))]
    assert server.asked[0].path == "/prefix/api/v1/query"
    assert server.asked[0].query["query"] == 'up{job=~"a|b"}'
    assert "Authorization" not in server.asked[0].headers
    assert door.cost.api_requests == 2


def test_a_range_query(server: ScriptedApi) -> None:
    series = {"metric": {"instance": "a"}, "values": [[100, "1"], [130, "2.5"]]}
    server.answers = [data("matrix", [series])]

    found = Prometheus.open(server.url).range("up", 60, 30)

    assert found == [({"instance": "a"}, [(100.0, 1.0), (130.0, 2.5)])]
    asked = server.asked[0].query
    assert float(asked["end"]) - float(asked["start"]) == pytest.approx(60)
    assert asked["step"] == "30"


def test_what_an_answer_may_lack_is_told(server: ScriptedApi) -> None:
    server.answers = [data("vector", [], warnings=["a store is down"]), data("vector", [])]
    door = Prometheus.open(server.url)

    door.instant("up")
    warned = door.warnings
    door.instant("up")

    assert warned == ("a store is down",)
    assert door.warnings == ()


def test_a_user_of_the_url_and_a_token_are_sent_and_never_shown(
    server: ScriptedApi, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    refused = Answer(b"Unauthorized\n", 401, {"Content-Type": "text/plain"})
    server.answers = [refused, refused]
    by_user = Prometheus.open(server.url.replace("//", "//me:hunter%402@"))
    by_token = Prometheus.open(server.url, token)

    said = []
    for door in (by_user, by_token):
        with pytest.raises(Unavailable, match="refuses us") as error:
            door.instant("up")
        said.append(str(error.value))

    assert server.asked[0].headers["Authorization"] == "Basic bWU6aHVudGVyQDI="
    assert server.asked[1].headers["Authorization"] == "Bearer secret-token"
    assert not any(secret in line for secret in ("hunter", "secret") for line in said)
    assert "hunter" not in by_user.name


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(
            Answer(b'{"status":"error","errorType":"bad_data","error":"parse\\nerror"}', 400),
            "refuses the query: parse error",
            id="a query that it does not understand",
        ),
        pytest.param(Answer(b"<html>", 404), "give the URL up to /api/v1", id="another server"),
        pytest.param(Answer(b"", 302, {"Location": "/login"}), "redirects", id="a login page"),
        pytest.param(Answer(b"bad gateway", 502), "HTTP status 502", id="a proxy before it"),
        pytest.param(Answer(b'{"status":"succ', cut=5), "no whole answer", id="cut off"),
        pytest.param(data("string", "a"), "a string came", id="a result of another kind"),
    ],
)
def test_each_failure_is_one_line(server: ScriptedApi, answer: Answer, says: str) -> None:
    server.answers = [answer]

    with pytest.raises(Unavailable) as error:
        Prometheus.open(server.url).instant("up")

    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_answer_of_any_size_ends(server: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "REPLY_BYTES", 10)
    server.answers = [data("vector", [])]

    with pytest.raises(Unavailable, match="it has more than"):
        Prometheus.open(server.url).instant("up")


def test_a_server_that_can_not_be_reached_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prometheus, "QUERY_SECONDS", -1.5)  # and two seconds on top
    with socket.create_server(("127.0.0.1", 0)) as hole:
        door = Prometheus.open(f"http://127.0.0.1:{hole.getsockname()[1]}")
        start = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable, match="no answer in time"):
                door.instant("up")

    assert time.monotonic() - start < 2
    assert door.cost.api_requests == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://no-such-host.invalid", "does not resolve"),
    ],
)
def test_nobody_there(url: str, says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        Prometheus.open(url).instant("up")


@pytest.mark.parametrize(
    "url", ["prom:9090", "", "ftp://a", "https://", "http://a:b", "http://a?x=1", "http://a..b"]
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="write https://HOST:PORT"):
        Prometheus.open(url)


def test_a_password_in_a_wrong_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as error:
        Prometheus.open("https://me:hunter2@:x")

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe"])
def test_a_token_file_that_holds_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match="holds no token"):
        Prometheus.open("http://a", file)


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Prometheus.open("http://a", tmp_path / "absent")


def test_one_login_is_enough(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")

    with pytest.raises(ConfigError, match="drop one"):
        Prometheus.open("http://me:x@a", tmp_path / "token")


def test_a_drip_does_not_outlast_the_deadline(dripping: Callable[[], str]) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        web.fetch(dripping(), seconds=0.5, most_bytes=1 << 20)

    assert time.monotonic() - start < 2


@pytest.fixture
def dripping() -> Iterator[Callable[[], str]]:
    """The URL of a server that sends a byte every 50 ms."""
    import threading

    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1 << 16)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            try:
                while not stop.wait(0.05):
                    client.sendall(b"x")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield lambda: f"http://127.0.0.1:{listener.getsockname()[1]}/"
        stop.set()
        thread.join()
