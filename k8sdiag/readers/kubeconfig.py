"""Who we are to the API server: a kubeconfig, or the service account of the pod we run in.

The kubernetes package's own loader does the work (tokens, client certificates, exec plugins,
OIDC, and their refresh). Here is what it answers with a traceback, in silence or with a secret.
"""

import copy
import logging
import os
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from k8sdiag.model import ConfigError, Unavailable

DEFAULT = Path("~/.kube/config")


class Login(Struct, frozen=True):
    configuration: Any  # kubernetes.client.Configuration: server, CA, credentials and their refresh
    cluster: str  # what the report calls the cluster
    who: str  # for messages: 'context "prod" of /home/me/.kube/config'
    in_cluster: bool = False

    def at(self, url: str, *, verify: bool) -> "Login":
        """The same credentials for another server of the cluster, straight to it."""
        configuration = copy.copy(self.configuration)
        configuration.host = url
        configuration.proxy = None
        configuration.tls_server_name = None  # that was the API server's
        configuration.verify_ssl = verify
        return replace(self, configuration=configuration)

    def headers(self) -> dict[str, str]:
        """What authenticates one request; a token that is about to expire is renewed first."""
        complaints = _Complaints()
        try:
            with complaints:
                found = self.configuration.auth_settings().values()
        except Exception as error:  # a credential plugin can raise anything
            why = one_line(error)
            raise Unavailable(f"the login of {self.who} can't be renewed: {why}") from error
        return {auth["key"]: auth["value"] for auth in found}


def load(kubeconfig: Path | None, context: str | None) -> Login:
    """The login of --kubeconfig, $KUBECONFIG, ~/.kube/config or the pod, as kubectl chooses it.

    Raises Unavailable when there is none and none was named, or when a credential plugin fails;
    ConfigError when one was named, or is there, and can't be used.
    """
    paths = [kubeconfig] if kubeconfig else _default_paths()
    found = [p for p in paths if _is_there(p)]
    if found:
        login = _from_files(found, context, named=bool(kubeconfig or context))
        if login:
            return login
    elif kubeconfig:
        raise ConfigError(f"{kubeconfig}: no such kubeconfig")
    where = " and ".join(map(str, paths))
    if context:
        raise ConfigError(
            f"--context {context}: there is no kubeconfig at {where}: name it with --kubeconfig"
        )
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _from_pod()
    what = "has no cluster in it" if found else "does not exist"
    raise Unavailable(f"no kubeconfig: {where} {what}, and this is not a pod: use --kubeconfig")


def _default_paths() -> list[Path]:
    listed = [Path(p) for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    return listed or [DEFAULT]


def _is_there(path: Path) -> bool:
    """Whether there is such a file; nobody named the default one, so it need not be for us to see.

    Raises ConfigError.
    """
    try:
        return path.expanduser().exists()
    except RuntimeError:  # a user without a home
        return False
    except OSError as error:
        if path == DEFAULT:
            return False
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _from_pod() -> Login:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise Unavailable(
            f"no kubeconfig, and this pod has no service account token ({one_line(error)}): "
            "set automountServiceAccountToken, or use --kubeconfig"
        ) from error
    return Login(configuration, "in-cluster", "the pod's service account", in_cluster=True)


def _from_files(paths: list[Path], context: str | None, *, named: bool) -> Login | None:
    """None: they define nothing, as a kubeconfig does whose last cluster was deleted."""
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    where = os.pathsep.join(map(str, paths))
    configuration = Configuration()
    complaints = _Complaints()
    try:
        merged = KubeConfigMerger(os.pathsep.join(str(p.expanduser()) for p in paths))
        file = merged.config.value
        if not file["contexts"] and not named:
            return None
        chosen = _context(file, context, where)
        with complaints:
            loader = KubeConfigLoader(
                config_dict=merged.config,
                active_context=chosen["name"],
                config_base_path=None,
                # An OIDC provider may replace the refresh token: not to keep the new one would
                # lock the user out. kubectl writes it down too.
                config_persister=merged.save_changes,
            )
            loader.load_and_set(configuration)
    except yaml.YAMLError as error:
        # Not the error's own text: it may quote what stands there, and that may be a token.
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        problem = (getattr(error, "problem", None) or "no text").partition(" '")[0]
        problem = problem.removesuffix(", but found")
        raise ConfigError(f"{where}: not YAML{line}: {problem}") from error
    except ConfigException as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error
    except OSError as error:
        name = error.filename or where
        raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(f"{where}: not a kubeconfig, or broken: {one_line(error)}") from error
    who = f'context "{chosen["name"]}" of {where}'
    if complaints.said and not (configuration.api_key or configuration.cert_file):
        raise Unavailable(
            f"the credential plugin of {who} failed: {complaints.said[0]}; "
            "log in again, or run it by hand to see why"
        )
    return Login(configuration, chosen["context"]["cluster"], who)


def _context(file: dict[str, Any], context: str | None, where: str) -> dict[str, Any]:
    """The chosen context's entry, once it is sure that what it names is there."""
    # Each entry came in the loader's own wrapper, with .value.
    contexts, clusters, users = (
        {e.value.get("name"): e.value for e in file[kind]}
        for kind in ("contexts", "clusters", "users")
    )
    name = context or file.get("current-context")
    known = ", ".join(sorted(map(str, contexts))) or "none"
    if not name:
        raise ConfigError(f"{where}: no current-context: choose one with --context: {known}")
    if name not in contexts:
        raise ConfigError(f'{where}: no context "{name}"; there is: {known}')
    entry: dict[str, Any] = contexts[name]
    refers = entry.get("context") or {}
    cluster, user = refers.get("cluster"), refers.get("user")
    if cluster not in clusters:
        raise ConfigError(
            f'{where}: context "{name}" names the cluster "{cluster}", which is not there'
        )
    if user and user not in users:
        raise ConfigError(f'{where}: context "{name}" names the user "{user}", which is not there')
    server = (clusters[cluster].get("cluster") or {}).get("server")
    if not server:
        raise ConfigError(f'{where}: cluster "{cluster}" has no server')
    return entry


class _Complaints(logging.Handler):
    """What the loader only logs: it goes on without credentials when an exec plugin fails."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(one_line(record.getMessage()))

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def one_line(error: object) -> str:
    """The first line of a message, without the kubeconfig entry that the loader may quote."""
    return str(error).strip().partition("\n")[0].partition("{")[0].strip()[:300]
