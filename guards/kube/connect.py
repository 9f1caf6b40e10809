"""Which API server, as whom: in the pod its service account, elsewhere the kubeconfig, read as kubectl reads it.

    in a pod, nothing asked for          the service account
    --kubeconfig FILE                    that file
    $KUBECONFIG = A:B                    merged; the first file that sets current-context wins
    otherwise                            ~/.kube/config

The official client takes current-context from the *last* file: with two files it may talk to another cluster than
kubectl does. So the context is chosen here and handed to it by name.
"""

import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubernetes.client import Configuration

from guards.kube.clock import steady
from guards.kube.errors import Forbidden

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE = 60.0
"""Seconds (monotonic) after which a token file is read again: kubelet replaces it well before it expires."""


class NotConfigured(Forbidden):
    """No cluster to talk to, not the one that was meant, or no credential for it. The message ends with what to do."""


class Connection:
    """One API server and the credentials for it.

    `load` reads configuration and credentials afresh; a token file is read again whenever its copy is too old.
    """

    def __init__(
        self,
        context: str,
        namespace: str,
        load: Callable[[], Configuration],
        token_file: Path | None = None,
        monotonic: Callable[[], float] = steady,
    ) -> None:
        self.context, self.namespace = context, namespace
        self._load, self._token_file, self._monotonic = load, token_file, monotonic
        self._token, self._token_read = "", float("-inf")
        self.configuration = load()

    @property
    def server(self) -> str:
        return str(self.configuration.host)

    def authorization(self) -> str | None:
        """Value of the Authorization header, None where a client certificate (or nothing) does it."""
        if self._token_file is None:
            found = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
            return found and _header(found, f"context {self.context}")
        if self._monotonic() - self._token_read >= TOKEN_AGE:
            self._token, self._token_read = _token(self._token_file), self._monotonic()
        return _header(f"Bearer {self._token}", str(self._token_file))

    def renew(self) -> None:
        """The API server did not accept the credentials: get fresh ones."""
        self._token_read = float("-inf")
        if self._token_file is None:
            self.configuration = self._load()


def connect(
    kubeconfig: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
    monotonic: Callable[[], float] = steady,
) -> Connection:
    """Choose the cluster. Raises NotConfigured; contacts no API server (an exec plugin of the kubeconfig may)."""
    asked = kubeconfig or context or environ.get("KUBECONFIG")
    if not asked and (service_account / "token").exists():
        return _in_cluster(environ, service_account, monotonic)
    return _from_kubeconfig(_files(kubeconfig, environ), context)


def _in_cluster(environ: Mapping[str, str], account: Path, monotonic: Callable[[], float]) -> Connection:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise NotConfigured(
            f"{account} is there, but KUBERNETES_SERVICE_HOST is not set. Next: pass --kubeconfig, or run in a pod"
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = account / "namespace"

    def load() -> Configuration:
        return bounded(Configuration(host=server, ssl_ca_cert=str(account / "ca.crt")))

    own = namespace.read_text().strip() if namespace.exists() else ""
    return Connection("in-cluster", own, load, account / "token", monotonic)


def _token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise NotConfigured(f"{path}: {error.strerror}. Next: check the pod's service account volume") from error
    if not token:
        raise NotConfigured(f"{path}: is empty, expected a token. Next: check the pod's service account volume")
    return token


def _header(value: str, source: str) -> str:
    """The value as it is, when it can be sent: the HTTP library would quote any other one in its error."""
    if not re.fullmatch("[!-~]+ [!-~]+", value):
        raise NotConfigured(f"{source}: the token holds characters that no token has. Next: check where it comes from")
    return value


def _files(kubeconfig: str | None, environ: Mapping[str, str]) -> list[Path]:
    """The kubeconfig files to read, existing ones only. An explicit file must exist, as with kubectl."""
    if kubeconfig:
        if not Path(kubeconfig).expanduser().is_file():
            raise NotConfigured(f"--kubeconfig {kubeconfig}: no such file. Next: ls -l {kubeconfig}")
        return [Path(kubeconfig).expanduser()]
    listed = environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in listed.split(os.pathsep) if part]
    found = [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]
    if not found:
        seen = f"KUBECONFIG={listed} names no existing file" if listed else "there is no ~/.kube/config"
        raise NotConfigured(f"no cluster configured: {seen}. Next: pass --kubeconfig FILE, or set KUBECONFIG")
    return found


def _from_kubeconfig(files: list[Path], context: str | None) -> Connection:
    documents = [_yaml(path) for path in files]
    contexts = _contexts(documents)
    chosen = context or next((name for d in documents if (name := d.get("current-context"))), None)
    source = os.pathsep.join(str(path) for path in files)
    if not chosen:
        known = ", ".join(sorted(contexts)) or "none"
        raise NotConfigured(f"{source}: no current-context (contexts: {known}). Next: pass --context NAME")
    if chosen not in contexts:
        near = difflib.get_close_matches(chosen, contexts, n=1, cutoff=0.3) or sorted(contexts)[:1]
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NotConfigured(f"{source}: no context {chosen!r}; {hint}Next: kubectl config get-contexts")
    return Connection(chosen, contexts[chosen], lambda: _load(source, chosen))


def _load(source: str, context: str) -> Configuration:
    from kubernetes.config import ConfigException, load_kube_config  # only on laptops: a step has no kubeconfig

    configuration = bounded(Configuration())
    read: Callable[..., None] = load_kube_config
    with _Complaints() as complaints:
        try:
            read(source, context=context, client_configuration=configuration, persist_config=False)
        except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            complaints.heard.append(str(error))
    if complaints.heard:
        # The loader only logs a failing credential plugin, and would go on without credentials.
        said = complaints.heard[0]
        raise NotConfigured(f"{source}: context {context!r}: {said}. Next: kubectl --context {context} version")
    return configuration


def bounded(configuration: Configuration) -> Configuration:
    """No repeats behind our back, no proxy from the environment (one named in the kubeconfig counts), live sockets."""
    configuration.retries = False
    configuration.proxy = None
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = 1
    return configuration


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise NotConfigured(f"{path}: {error.strerror}. Next: ls -l {path}") from error
    except (ValueError, yaml.YAMLError) as error:
        # Without the parser's own words, and not as the cause: it quotes the line, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise NotConfigured(f"{path}: is no YAML{where}, expected a kubeconfig. Next: kubectl config view") from None
    if not isinstance(document, dict):
        raise NotConfigured(f"{path}: is empty or no mapping, expected a kubeconfig. Next: kubectl config view")
    return document


def _contexts(documents: list[dict[str, Any]]) -> dict[str, str]:
    """Name -> namespace of every context; of two with one name the first file's counts."""
    found: dict[str, str] = {}
    for document in documents:
        for entry in document.get("contexts") or []:
            if isinstance(entry, dict) and entry.get("name"):
                found.setdefault(str(entry["name"]), str((entry.get("context") or {}).get("namespace") or ""))
    return found


class _Complaints(logging.Handler):
    """Collects what is logged as an error on the root logger meanwhile, instead of printing it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())

    def __enter__(self) -> "_Complaints":
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
