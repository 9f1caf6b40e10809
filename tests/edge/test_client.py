"""The client as a whole: proxies, credentials on the wire, threads."""

import threading
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from guards.kube.access import MACHINE
from guards.kube.client import Client
from guards.kube.connect import Connection, bounded
from guards.kube.errors import Forbidden, Unreachable
from guards.kube.transport import Limits
from tests.edge import canary
from tests.edge.conftest import QUICK, FakeTime, connection_to
from tests.edge.faulty import Faulty, failure, reply
from tests.edge.wire import names, page


def test_the_environments_proxy_is_not_used(server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = Client(connection_to(server), QUICK)
    assert client.served_version(MACHINE) == "v1beta2"
    client.close()


def test_every_request_carries_the_credential(client: Client, server: Faulty) -> None:
    """One release of the official client forgot to."""
    server.script = [reply(200, page("a", token="next")), reply(200, page("b"))]
    names(client)
    assert [request.headers["authorization"] for request in server.seen] == [f"Bearer {canary.TOKEN}"] * 2


def test_a_rotated_token_is_sent_after_a_minute_and_at_once_after_a_401(
    server: Faulty, fake_time: FakeTime, tmp_path: Path
) -> None:
    """kubelet replaces the file; the wall clock plays no part."""
    file, sent = tmp_path / "token", lambda: server.seen[-1].headers["authorization"]
    file.write_text(f"{canary.TOKEN}-1")
    load = lambda: bounded(Configuration(host=server.url))  # noqa: E731
    connection = Connection("test", "default", load, file, fake_time.monotonic)
    client = Client(connection, QUICK, fake_time.sleep, fake_time.monotonic)
    server.script = [reply(200, page())]
    for number, passed, expected in ((1, 0, 1), (2, 59, 1), (2, 1, 2)):
        file.write_text(f"{canary.TOKEN}-{number}")
        fake_time.at += passed
        names(client)
        assert sent() == f"Bearer {canary.TOKEN}-{expected}"
    file.write_text(f"{canary.TOKEN}-3")
    server.script = [failure(401, "Unauthorized"), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert [request.headers["authorization"][-1] for request in server.seen] == ["1", "1", "2", "2", "3"]
    client.close()


def test_an_error_page_that_repeats_the_request_does_not_repeat_the_token(client: Client, server: Faulty) -> None:
    """Some proxies do; the file of the session's canary would have it."""
    server.script = [failure(403, f"denied: Authorization: Bearer {canary.TOKEN}")]
    with pytest.raises(Forbidden, match=r"denied: Authorization: Bearer \(credential\)"):
        names(client)


def test_threads_do_not_share_a_connection(server: Faulty) -> None:
    """A renewal must not wait behind a read that hangs."""
    client = Client(connection_to(server), Limits(0.5, 20, 20))
    client.served_version(MACHINE)
    server.script = [server.hold, reply(200, page("a"))]
    broken: list[str] = []

    def read() -> None:
        try:
            names(client)
        except Unreachable as error:
            broken.append(str(error))

    slow = threading.Thread(target=read, daemon=True)
    slow.start()
    server.until(1)
    assert names(client) == ["a"]
    client.close()
    slow.join(20)
    assert len(broken) == 1, "closing ends a call that hangs"
    assert broken[0].endswith("this client is closed"), "and it is not tried again"


def test_whoever_stops_a_client_from_outside_stops_every_request(server: Faulty) -> None:
    stop = threading.Event()
    client = Client(connection_to(server), QUICK, stop=stop)
    server.script = [reply(200, page("a"))]
    names(client)
    stop.set()
    with pytest.raises(Unreachable, match="this client is closed"):
        names(client)
    assert len(server.seen) == 1
    client.close()
