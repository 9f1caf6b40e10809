"""Which cluster, as whom: the same choice that kubectl makes, or a clear error."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from guards.kube.access import MACHINE
from guards.kube.client import Client
from guards.kube.connect import NotConfigured, connect
from tests.edge.canary import plant
from tests.edge.conftest import QUICK
from tests.edge.faulty import Faulty, failure

NOWHERE = Path("/nonexistent")


def kubeconfig(path: Path, context: str, current: str | None, server: str = "http://127.0.0.1:1", **user: Any) -> Path:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server}}],
        "users": [{"name": context, "user": user or {"token": plant(f"token-of-{context}")}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": f"ns-{context}"}}],
    }
    path.write_text(yaml.safe_dump(document | ({"current-context": current} if current is not None else {})))
    return path


def environ(*files: Path) -> dict[str, str]:
    return {"KUBECONFIG": os.pathsep.join(str(file) for file in files)}


def test_the_first_file_with_a_current_context_wins(tmp_path: Path) -> None:
    none = kubeconfig(tmp_path / "none", "other", None)
    empty = kubeconfig(tmp_path / "empty", "another", "")
    first = kubeconfig(tmp_path / "first", "mgmt", "mgmt", "http://127.0.0.1:11")
    last = kubeconfig(tmp_path / "last", "work", "work", "http://127.0.0.1:22")
    found = connect(None, None, environ(tmp_path / "missing", none, empty, first, last), NOWHERE)
    assert (found.context, found.server, found.namespace) == ("mgmt", "http://127.0.0.1:11", "ns-mgmt")
    assert found.authorization() == "Bearer token-of-mgmt"
    assert connect(None, None, environ(last, first), NOWHERE).context == "work"
    assert connect(None, "mgmt", environ(last, first), NOWHERE).server == "http://127.0.0.1:11"
    assert connect(str(last), None, environ(first), NOWHERE).context == "work", "the flag beats the environment"


def test_home_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotConfigured, match=r"no cluster configured: there is no ~/.kube/config\. Next: "):
        connect(None, None, {}, NOWHERE)
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube/config", "home", "home")
    assert connect(None, None, {}, NOWHERE).context == "home"


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("", None, "is empty or no mapping"),
        ("a: [", None, "is no YAML"),
        ("[]", None, "is empty or no mapping"),
        ("contexts: []", None, r"no current-context \(contexts: none\)"),
        ("current-context: mgnt\ncontexts: [{name: mgmt}]", None, r"no context 'mgnt'; did you mean 'mgmt'\?"),
        ("contexts: [{name: mgmt}]", "prod", r"no context 'prod'; did you mean 'mgmt'\?"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]", None, "context 'a'"),
    ],
)
def test_a_kubeconfig_that_names_no_cluster(tmp_path: Path, text: str, context: str | None, message: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(NotConfigured, match=f"{message}.*Next: kubectl|{message}.*Next: pass"):
        connect(str(tmp_path / "config"), context, {}, NOWHERE)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match=r"--kubeconfig .*: no such file\. Next: ls -l"):
        connect(str(tmp_path / "no"), None, {}, NOWHERE)
    with pytest.raises(NotConfigured, match=r"KUBECONFIG=.* names no existing file"):
        connect(None, None, environ(tmp_path / "no"), NOWHERE)


def plugin(path: Path, script: str) -> dict[str, Any]:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "interactiveMode": "Never"}}


def test_a_credential_plugin(tmp_path: Path) -> None:
    credential = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fresh"}}'
    file = kubeconfig(tmp_path / "c", "a", "a", **plugin(tmp_path / "plugin", f"echo '{credential}'"))
    assert connect(str(file), None, {}, NOWHERE).authorization() == "Bearer fresh"


def test_a_credential_plugin_that_fails_is_an_error(tmp_path: Path) -> None:
    """The official loader only logs it, and would go on as an anonymous user."""
    file = kubeconfig(tmp_path / "c", "a", "a", **plugin(tmp_path / "plugin", "echo login first >&2; exit 3"))
    with pytest.raises(NotConfigured, match="login first"):
        connect(str(file), None, {}, NOWHERE)


def service_account(path: Path, token: str = "one") -> Path:
    path.mkdir(exist_ok=True)
    (path / "token").write_text(token + "\n")
    (path / "namespace").write_text("argo")
    (path / "ca.crt").write_text("")
    return path


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    account = service_account(tmp_path / "sa")
    found = connect(None, None, POD, account)
    assert (found.context, found.server, found.namespace) == ("in-cluster", "https://10.96.0.1:443", "argo")
    assert connect(None, None, POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, account).server == "https://[fd00::1]:443"
    asked = kubeconfig(tmp_path / "c", "a", "a")
    assert connect(str(asked), None, POD, account).context == "a"
    with pytest.raises(NotConfigured, match="KUBERNETES_SERVICE_HOST is not set"):
        connect(None, None, {}, account)


def test_a_rotated_token_is_read_after_a_minute_and_on_401(tmp_path: Path) -> None:
    account, seconds = service_account(tmp_path / "sa"), [0.0]
    found = connect(None, None, POD, account, monotonic=lambda: seconds[0])
    assert found.authorization() == "Bearer one"
    service_account(account, "two")
    seconds[0] = 59
    assert found.authorization() == "Bearer one"
    seconds[0] = 60
    assert found.authorization() == "Bearer two"
    service_account(account, "three")
    found.renew()
    assert found.authorization() == "Bearer three"
    service_account(account, "")
    found.renew()
    with pytest.raises(NotConfigured, match="token: is empty"):
        found.authorization()


def test_the_credentials_leave_the_process(tmp_path: Path, server: Faulty) -> None:
    """One release of the official client forgot to."""
    file = kubeconfig(tmp_path / "c", "a", "a", server.url)
    client = Client(connect(str(file), None, {}, NOWHERE), QUICK)
    server.script = [failure(404, "no")]
    with pytest.raises(Exception, match="HTTP 404"):
        client.list(MACHINE, "default", "", lambda item: item)
    client.close()
    assert server.seen[0].headers["authorization"] == "Bearer token-of-a"


@pytest.mark.parametrize("setting", ["plain", "named"])
def test_only_a_proxy_named_in_the_kubeconfig_counts(
    tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    file = kubeconfig(tmp_path / "c", "a", "a", "https://10.0.0.1:6443")
    if setting == "named":
        file.write_text(file.read_text().replace("server:", "proxy-url: http://127.0.0.1:2\n    server:"))
    found = connect(str(file), None, {}, NOWHERE).configuration
    assert found.proxy == (None if setting == "plain" else "http://127.0.0.1:2")
    assert found.retries is False
