"""A watch wakes early and survives everything; it never decides."""

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from guards.kube.access import CLUSTER, MACHINE
from guards.kube.client import Client
from guards.kube.watch import HEAD, Alarm, Watcher, bookmark, lines
from tests.edge.conftest import FakeTime
from tests.edge.faulty import Faulty, Reply, Request, failure, reply
from tests.edge.wire import page

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(kind: str, version: str = "11", **more: Any) -> bytes:
    return (
        json.dumps(
            {"type": kind, "object": {"metadata": {"resourceVersion": version}} | more}, separators=(",", ":")
        ).encode()
        + b"\n"
    )


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream(server: Faulty, *events: bytes, then: Callable[[], object] | None = None) -> Reply:
    """Send these events, stay silent until the client gives up (or `then` returns), end in good order."""

    def send(connection: socket.socket) -> None:
        connection.sendall(STREAM + b"".join(chunk(data) for data in events))
        then() if then else server.hold(connection)
        connection.sendall(b"0\r\n\r\n")

    return send


def query(request: Request) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.path).query)


def test_an_event_wakes_and_names_the_kind(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", version="10")), stream(server, event("MODIFIED"))]
    client.list(MACHINE, "default", "a=b", lambda item: item)
    client.watch([MACHINE], "default", "a=b")
    assert client.wait(5) == {MACHINE}
    assert client.wait(0) == frozenset(), "a change is told once"
    asked = query(server.seen[1])
    assert asked["resourceVersion"] == ["10"], "from the last list on: nothing is missed in between"
    assert asked["watch"] == asked["allowWatchBookmarks"] == ["true"]
    assert 300 <= int(asked["timeoutSeconds"][0]) <= 600
    assert asked["labelSelector"] == ["a=b"]


def test_watching_twice_is_watching_once(client: Client, server: Faulty) -> None:
    server.script = [stream(server)]
    client.watch([MACHINE], "default", "")
    client.watch([MACHINE, CLUSTER], "default", "")
    server.until(2)
    assert {request.path.split("?")[0].rsplit("/", 1)[1] for request in server.seen} == {"machines", "clusters"}


def test_a_silent_watch_does_not_wake(client: Client, server: Faulty) -> None:
    server.script = [stream(server, event("BOOKMARK", "40"))]
    client.watch([MACHINE], "default", "")
    server.until(1)
    assert client.wait(0.05) == frozenset()


class Scripted:
    """Runs one Watcher in this thread against the server, its pauses collected instead of waited for."""

    def __init__(self, client: Client, server: Faulty, fake_time: FakeTime, rounds: int) -> None:
        self.changed: list[str] = []
        self.pauses: list[float] = []
        self.rounds = rounds
        self.watcher: Watcher = client._watcher(MACHINE, "default", "")
        self.watcher._mark = lambda kind: self.changed.append(kind.name)  # type: ignore[method-assign]
        self.watcher._stop = self  # type: ignore[assignment]
        self.watcher.run()

    def is_set(self) -> bool:
        self.rounds -= 1
        return self.rounds < 0

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)


def test_the_next_watch_begins_at_the_last_bookmark(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.script = [
        reply(200, page(version="10")),
        stream(server, event("BOOKMARK", "25"), then=lambda: fake_time.sleep(300)),
        stream(server, then=lambda: fake_time.sleep(300)),
    ]
    client.list(MACHINE, "default", "", lambda item: item)
    ran = Scripted(client, server, fake_time, rounds=2)
    assert [query(request).get("resourceVersion") for request in server.seen[1:]] == [["10"], ["25"]]
    assert (ran.changed, ran.pauses) == ([], []), "an end after five minutes is in good order: no gap, no pause"


@pytest.mark.parametrize("gone", ["status", "event"])
def test_410_has_the_kind_listed_and_watches_from_anywhere(
    client: Client, server: Faulty, fake_time: FakeTime, gone: str
) -> None:
    expired = failure(410, "too old") if gone == "status" else stream(server, event("ERROR", code=410))
    server.script = [reply(200, page(version="10")), expired, stream(server, then=lambda: fake_time.sleep(300))]
    client.list(MACHINE, "default", "", lambda item: item)
    if gone == "event":
        server.script[1] = stream(server, event("ERROR", code=410), then=lambda: None)
    ran = Scripted(client, server, fake_time, rounds=2)
    assert [query(request).get("resourceVersion") for request in server.seen[1:]] == [["10"], None]
    assert "Machine" in ran.changed


@pytest.mark.parametrize("fault", [failure(500, "x"), failure(403, "no"), lambda _: None, reply(200, b"{")])
def test_failures_back_off_and_a_gap_is_a_change(
    client: Client, server: Faulty, fake_time: FakeTime, fault: Reply
) -> None:
    server.script = [fault] * 8 + [stream(server, then=lambda: fake_time.sleep(300))]
    ran = Scripted(client, server, fake_time, rounds=9)
    assert ran.changed[-1:] == ["Machine"], "whatever happened in the gap was not seen"
    assert len(ran.pauses) == 8
    assert 0.5 <= ran.pauses[0] <= 1
    assert all(15 <= seconds <= 30 for seconds in ran.pauses[5:])


def test_rotated_credentials_reach_the_watch(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    renewed: list[int] = []
    client.connection.renew = lambda: renewed.append(1)  # type: ignore[method-assign]
    server.script = [failure(401, "Unauthorized"), stream(server, then=lambda: fake_time.sleep(300))]
    Scripted(client, server, fake_time, rounds=2)
    assert renewed == [1]


def test_a_burst_is_one_change() -> None:
    alarm = Alarm()
    alarm.mark(MACHINE)
    alarm.mark(CLUSTER)
    alarm.mark(MACHINE)
    assert alarm.wait(5) == {MACHINE, CLUSTER}


def test_lines_are_bounded_however_they_arrive() -> None:
    data = event("MODIFIED", padding="x" * 10 * HEAD) + event("BOOKMARK", "7")
    for size in (1, 7, 4096, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        first, second = lines(pieces)
        assert len(first) == HEAD
        assert (bookmark(first), bookmark(second)) == (0, 7)


@pytest.mark.parametrize("line", [b"", b"{}", b'{"type":"BOOKMARK"', b'{"type":"BOOKMARK","object":{}}', b"\xff"])
def test_odd_lines_are_no_bookmarks(line: bytes) -> None:
    assert bookmark(line) == 0
