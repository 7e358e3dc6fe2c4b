"""Who we are: what a kubeconfig may say, and one clear line for all that it may not."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8sdiag.model import ConfigError, Unavailable
from k8sdiag.readers.kubeconfig import Login, load
from tests.scripted_api import kubeconfig

SECRET = "s3cret-t0ken-value"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no pod, whoever runs the tests."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config"


def config(path: Path, **changes: object) -> Path:
    """A good kubeconfig with some of its top-level fields replaced."""
    kubeconfig(path, "https://127.0.0.1:6443", user={"token": SECRET})
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def plugin(path: Path, script: str) -> dict[str, Any]:
    """The user of a kubeconfig whose credential plugin is this shell script."""
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(stat.S_IRWXU)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(path), "interactiveMode": "Never"}}


def bearer(login: Login) -> str:
    return login.headers()["authorization"]


def test_a_token(path: Path) -> None:
    login = load(config(path), None)

    assert login.cluster == "lab-cluster"
    assert login.who == f'context "lab" of {path}'
    assert login.configuration.host == "https://127.0.0.1:6443"
    assert bearer(login) == f"Bearer {SECRET}"


def test_another_context(path: Path) -> None:
    contexts = [
        {"name": name, "context": {"cluster": "lab-cluster", "user": user}}
        for name, user in (("lab", "nobody"), ("other", "me"))
    ]
    login = load(config(path, contexts=contexts), "other")

    assert login.who == f'context "other" of {path}'
    assert bearer(login) == f"Bearer {SECRET}"


def test_several_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = config(tmp_path / "users", contexts=[], clusters=[])
    rest = config(tmp_path / "rest", users=[])
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/absent:{users}:{rest}")

    assert bearer(load(None, None)) == f"Bearer {SECRET}"


@pytest.fixture
def closed_home(tmp_path: Path) -> Iterator[Path]:
    """A home like root's, to a user who has only its name (`sudo -E -u somebody`)."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o000)
    me = os.geteuid()
    try:
        if me == 0:  # whom no mode keeps out
            os.seteuid(65534)
        with pytest.raises(PermissionError):
            (home / "config").stat()
        yield home
    finally:
        os.seteuid(me)
        home.chmod(0o700)


def test_a_home_that_is_not_for_us_has_no_kubeconfig_for_us(closed_home: Path) -> None:
    with pytest.raises(Unavailable, match="no kubeconfig"):
        load(None, None)


def test_no_home_has_no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(Unavailable, match="no kubeconfig"):
        load(None, None)


def test_a_named_one_that_is_not_for_us_is_said(
    closed_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = closed_home / "config"
    with pytest.raises(ConfigError, match="home/config: cannot be read: Permission denied"):
        load(path, None)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ConfigError, match="home/config: cannot be read: Permission denied"):
        load(None, None)


def test_the_one_at_home(tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".kube"
    folder.mkdir(parents=True)
    config(folder / "config")

    assert load(None, None).cluster == "lab-cluster"


def test_a_credential_plugin(path: Path, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": SECRET},
    }
    user = plugin(tmp_path / "plugin", f"echo '{json.dumps(credential)}'")
    login = load(config(path, users=[{"name": "me", "user": user}]), None)

    assert bearer(login) == f"Bearer {SECRET}"


def test_a_token_is_renewed_before_it_expires(path: Path, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "token-N", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
    script = f"echo x >> {tmp_path}/runs; n=$(wc -l < {tmp_path}/runs)\n"
    script += f"echo '{json.dumps(credential)}' | sed s/token-N/token-$n/"
    user = plugin(tmp_path / "plugin", script)
    login = load(config(path, users=[{"name": "me", "user": user}]), None)

    assert bearer(login) == "Bearer token-2"
    assert bearer(login) == "Bearer token-3"


def test_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "ca.crt").write_text("a certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    login = load(None, None)

    assert (login.cluster, login.in_cluster) == ("in-cluster", True)
    assert login.configuration.host == "https://10.96.0.1:443"
    assert bearer(login) == f"bearer {SECRET}"


# Nothing was asked for and nothing is there: the rest can still be judged.


def test_no_kubeconfig_at_all() -> None:
    with pytest.raises(Unavailable, match=r"^no kubeconfig: ~/\.kube/config does not exist"):
        load(None, None)


def test_a_kubeconfig_whose_last_cluster_was_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(path, contexts=[], clusters=None, users=[], **{"current-context": ""})
    monkeypatch.setenv("KUBECONFIG", str(path))

    with pytest.raises(Unavailable, match=f"^no kubeconfig: {path} has no cluster in it"):
        load(None, None)


def test_a_pod_without_a_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    with pytest.raises(Unavailable, match=r"^no kubeconfig, and this pod .*automount"):
        load(None, None)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'session expired, run sso login' >&2; exit 3", "session expired, run sso login"),
        ("echo no json", "failed to decode process output"),
        (None, "No such file or directory"),
    ],
    ids=["it says why", "it says nothing useful", "it is not installed"],
)
def test_a_credential_plugin_that_fails(
    path: Path, tmp_path: Path, script: str | None, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    user = plugin(tmp_path / "plugin", script or "")
    if script is None:
        (tmp_path / "plugin").unlink()

    with pytest.raises(Unavailable, match=rf'the credential plugin of context "lab" .*{why}'):
        load(config(path, users=[{"name": "me", "user": user}]), None)
    assert capfd.readouterr().err == ""


# Something was named, or is there, and can't be used.


def test_a_missing_file_that_was_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{path}: no such kubeconfig$"):
        load(path, None)


def test_a_context_without_any_kubeconfig() -> None:
    with pytest.raises(ConfigError, match=r"^--context prod: there is no kubeconfig at ~/\.kube"):
        load(None, "prod")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"current-context": ""}, "no current-context: choose one with --context: lab"),
        ({"current-context": "prod"}, 'no context "prod"; there is: lab'),
        ({"contexts": []}, 'no context "lab"; there is: none'),
        (
            {"clusters": []},
            'context "lab" names the cluster "lab-cluster", which is not there',
        ),
        ({"users": []}, 'context "lab" names the user "me", which is not there'),
        ({"clusters": [{"name": "lab-cluster"}]}, 'cluster "lab-cluster" has no server'),
        ({"users": [{"name": "me", "user": {"client-certificate": "/absent"}}]}, "/absent"),
        ({"users": [{"name": "me", "user": {"client-certificate-data": "x"}}]}, "broken"),
        ({"contexts": "none"}, "broken"),
    ],
    ids=[
        "no current context",
        "a current context that is not there",
        "no contexts",
        "a cluster that is not there",
        "a user that is not there",
        "a cluster without a server",
        "a certificate that is not there",
        "a certificate that is not base64",
        "another structure",
    ],
)
def test_a_broken_kubeconfig(path: Path, changes: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(path, **changes), None)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert why in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "a: b: c", '{"users": [', "\x00", "users: {name: me}"],
    ids=["empty", "text", "a list", "not YAML", "cut off", "binary", "a table for a list"],
)
def test_what_is_no_kubeconfig(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(ConfigError, match=rf"^{path}: .+") as caught:
        load(path, None)
    assert "\n" not in str(caught.value)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, None)


@pytest.mark.parametrize(
    "user",
    [
        f'{{token: "{SECRET}" x}}',
        f"{SECRET}: {SECRET}: {SECRET}",
        f"*{SECRET}",
        f"{{exec: {{token: {SECRET}}}}}",
        f"{{token: {SECRET}, tokenFile: [{SECRET}]}}",
        f"{{auth-provider: {{name: oidc, config: {{refresh-token: {SECRET}}}}}}}",
        f"{{auth-provider: {{name: oidc, config: {{id-token: {SECRET}.e30.x}}}}}}",
        f"{{client-certificate-data: {SECRET}}}",
    ],
    ids=[
        "bad flow",
        "too many colons",
        "an alias",
        "half a plugin",
        "a list for a file",
        "OIDC without a token",
        "OIDC with half a token",
        "no certificate",
    ],
)
def test_no_message_quotes_a_secret(path: Path, user: str) -> None:
    path.write_text(
        "current-context: lab\n"
        "contexts: [{name: lab, context: {cluster: c, user: me}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        f"users:\n- name: me\n  user: {user}\n"
    )
    said = "nothing: the loader takes it"
    try:
        load(path, None)
    except (ConfigError, Unavailable) as error:
        said = str(error)

    assert SECRET not in said
    assert "\n" not in said
