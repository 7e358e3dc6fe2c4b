"""The web configuration file: what is taken, what is refused and why, and how it is read again."""

import base64
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import bcrypt
import pytest

from k8sdiag.model import ConfigError
from k8sdiag.web import auth
from k8sdiag.web.auth import Gate
from k8sdiag.web.config import WebFile, read
from tests.webfiles import BAD, GOOD, REFUSED, beside_certificates, certificates

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"


@pytest.mark.parametrize("file", GOOD, ids=lambda f: f.stem)
def test_taken(file: Path, tmp_path: Path) -> None:
    web = read(beside_certificates(file, tmp_path))

    assert (web.tls is not None) == ("cert_file" in file.read_text())
    assert list(web.users) == [u for u in ("prometheus", "joe") if f"{u}: $2" in file.read_text()]


@pytest.mark.parametrize("file", [*BAD, *REFUSED], ids=lambda f: f.stem)
def test_refused_with_the_reason_that_stands_in_its_first_line(file: Path, tmp_path: Path) -> None:
    why = file.read_text().partition("\n")[0].removeprefix("# ")

    with pytest.raises(ConfigError) as error:
        read(beside_certificates(file, tmp_path))

    assert str(error.value).startswith(f"{tmp_path}/web.yml: ")
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web.yml: cannot be read: No such file"):
        read(tmp_path / "web.yml")


def test_without_bcrypt_the_mend_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{joe: {hashed('x')}}}\n")

    with pytest.raises(ConfigError, match=r"pip install 'k8sdiag\[auth\]'"):
        read(tmp_path / "web.yml")


def test_the_key_of_a_password_is_never_asked_for_on_a_terminal(tmp_path: Path) -> None:
    certificates(tmp_path)
    locked = ["openssl", "ec", "-aes256", "-in", "server.key", "-out", "locked.key"]
    subprocess.run([*locked, "-passout", "pass:x"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "web.yml").write_text(TLS.replace("server.key", "locked.key"))

    with pytest.raises(ConfigError, match="are no certificate and its key"):
        read(tmp_path / "web.yml")


def test_a_new_certificate_is_read_and_half_of_one_is_waited_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates(tmp_path)
    (tmp_path / "web.yml").write_text(TLS)
    file = WebFile(tmp_path / "web.yml")
    first = file.now()
    assert file.now() is first

    new = certificates(tmp_path / "new")
    (tmp_path / "new" / "server.crt").replace(tmp_path / "server.crt")
    with caplog.at_level(logging.ERROR):
        assert file.now() is first
        assert file.now() is first
    (complaint,) = caplog.messages  # said once, not at each connection
    assert complaint == (
        f"{tmp_path}/web.yml: {tmp_path}/server.crt and {tmp_path}/server.key are no certificate "
        "and its key; the last good configuration holds"
    )

    (tmp_path / "new" / "server.key").replace(tmp_path / "server.key")
    assert file.now() is not first
    assert new.ca.is_file()


def test_a_mount_that_is_swapped_as_kubernetes_does_it_is_seen(tmp_path: Path) -> None:
    """A Secret's files are links through `..data`, which is replaced as a whole."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "web.yml").write_text(
            f"basic_auth_users: {{{version}: {hashed(version)}}}\n"
        )
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "web.yml").symlink_to("..data/web.yml")
    file = WebFile(tmp_path / "web.yml")
    assert list(file.now().users) == ["one"]

    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert list(file.now().users) == ["two"]


def test_tls_is_not_lost_by_an_edit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates(tmp_path)
    (tmp_path / "web.yml").write_text(TLS)
    file = WebFile(tmp_path / "web.yml")

    (tmp_path / "web.yml").write_text("# nothing\n")

    assert file.now().tls is not None
    assert "TLS can't be turned off while serving: restart" in caplog.text


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()


def login(name: str, password: str, kind: str = "Basic") -> str:
    return f"{kind} " + base64.b64encode(f"{name}:{password}".encode()).decode()


USERS = {"joe": hashed("right:\u00e4"), "ann": hashed("x" * 100)}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(login("joe", "right:\u00e4"), id="right, with a colon in it"),
        pytest.param(login("joe", "right:\u00e4", "basic"), id="the scheme in small letters"),
        pytest.param(login("ann", "x" * 100), id="longer than bcrypt looks"),
    ],
)
def test_who_gets_in(header: str) -> None:
    gate = Gate()

    assert [gate.allows(header, USERS) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"joe").decode(),
        login("joe", "wrong"),
        login("joe", ""),
        login("eve", "right:\u00e4"),
        login("joe", "right:\u00e4", "Bearer"),
        login("joe", USERS["joe"]),
        login("joe", "nul\0"),
    ],
)
def test_who_does_not(header: str) -> None:
    gate = Gate()

    assert [gate.allows(header, USERS) for _ in range(2)] == [False, False]


def test_a_right_password_costs_bcrypt_once_and_a_changed_one_counts_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    real = auth._matches

    def counted(password: str, hashed: str) -> bool:
        asked.append(password)
        return real(password, hashed)

    monkeypatch.setattr(auth, "_matches", counted)
    gate = Gate()

    assert all(gate.allows(login("joe", "right:\u00e4"), USERS) for _ in range(5))
    assert len(asked) == 1
    assert not gate.allows(login("joe", "right:\u00e4"), USERS | {"joe": hashed("new")})
    assert not gate.allows(login("joe", "right:\u00e4"), {"ann": USERS["ann"]})


def test_a_name_that_is_none_takes_as_long_as_a_wrong_password() -> None:
    users = {"joe": bcrypt.hashpw(b"right", bcrypt.gensalt(8)).decode()}
    gate = Gate()

    def cpu(header: str) -> float:
        begin = time.thread_time()
        assert not gate.allows(header, users)
        return time.thread_time() - begin

    known, unknown = (min(cpu(login(n, "wrong")) for _ in range(5)) for n in ("joe", "eve"))
    assert 0.5 < unknown / known < 2


def test_no_yaml_and_no_bcrypt_without_a_web_configuration() -> None:
    code = (
        "import sys; from k8sdiag import scrape; from k8sdiag.web.server import exporter;"
        "exporter(lambda _: []); print({'yaml', 'bcrypt'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )

    assert done.stdout == "set()\n"
