"""Writes, sent once whatever happens; proxies, the clock, threads."""

import json
import socket
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from guards.kube.access import MACHINE, WORKFLOW
from guards.kube.client import Client
from guards.kube.errors import Conflict, Forbidden, Invalid, NotFound, Unreachable
from guards.kube.transport import Limits
from tests.edge.conftest import QUICK, connection_to
from tests.edge.faulty import Faulty, failure, reply, reset
from tests.edge.wire import names, page, silent, truncated


def workflow(name: str) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name, "namespace": "argo"}}


def test_a_write_is_strict_and_returns_what_is_stored(client: Client, server: Faulty) -> None:
    server.script = [reply(201, workflow("a-1"))]
    assert client.create(WORKFLOW, "argo", workflow("a"))["metadata"]["name"] == "a-1"
    (request,) = server.seen
    assert (request.method, parse_qs(urlsplit(request.path).query)) == ("POST", {"fieldValidation": ["Strict"]})
    assert json.loads(request.body) == workflow("a")


def test_a_dry_run_says_so(client: Client, server: Faulty) -> None:
    server.script = [reply(201, workflow("a-1"))]
    client.create(WORKFLOW, "argo", workflow("a"), dry_run=True)
    assert parse_qs(urlsplit(server.seen[0].path).query)["dryRun"] == ["All"]


REFUSED = {400: Invalid, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid, 429: Unreachable}


@pytest.mark.parametrize("status", REFUSED)
def test_a_refused_write_is_sent_once(client: Client, server: Faulty, status: int) -> None:
    server.script = [failure(status, "no")]
    with pytest.raises(REFUSED[status], match=f"create workflows.argoproj.io in argo: HTTP {status}: no"):
        client.create(WORKFLOW, "argo", workflow("a"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", ["reset", "silent", "closed", "truncated", "500", "503", "broken"])
def test_a_write_with_unknown_outcome_is_sent_once(client: Client, server: Faulty, fault: str) -> None:
    faults = {"reset": reset, "silent": silent(server), "closed": lambda _: None, "truncated": truncated}
    faults |= {"500": failure(500, "x"), "503": failure(503, "x", Retry_After="0"), "broken": reply(201, b"<html>")}
    server.script = [faults[fault]]
    with pytest.raises(Unreachable, match="whether it was done is unknown"):
        client.create(WORKFLOW, "argo", workflow("a"))
    assert len(server.seen) == 1


def test_the_environments_proxy_is_not_used(server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = Client(connection_to(server), QUICK)
    assert client.served_version(MACHINE) == "v1beta2"
    client.close()


def test_the_clock_follows_the_server(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page(), Date="Tue, 24 Nov 2099 12:00:00 GMT")]
    names(client)
    assert client.now().isoformat().startswith("2099-11-24T12:00:0")
    server.script = [reply(200, page(), Date="nonsense"), reply(200, page(), Date="Mon, 01 Jan 2001 00:00:00 GMT")]
    names(client)
    names(client)
    before = client.now()
    assert before <= client.now()
    assert before.year == 2099, "never backwards"


def test_threads_do_not_share_a_connection(server: Faulty) -> None:
    """A renewal must not wait behind a read that hangs."""
    hanging = threading.Event()

    def hang(connection: socket.socket) -> None:
        hanging.set()
        server.finished.wait(5)

    client = Client(connection_to(server), Limits(0.5, 5, 5))
    client.served_version(MACHINE)
    server.script = [hang, reply(200, page("a"))]
    broken: list[str] = []

    def read() -> None:
        try:
            names(client)
        except Unreachable as error:
            broken.append(str(error))

    slow = threading.Thread(target=read, daemon=True)
    slow.start()
    assert hanging.wait(5)
    assert names(client) == ["a"]
    client.close()
    slow.join(5)
    assert broken == ["this client is closed"], "closing ends a call that hangs"
