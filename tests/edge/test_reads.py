"""What a read survives and what ends it, and how often the server was asked."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from guards.kube.access import MACHINE
from guards.kube.client import Client
from guards.kube.errors import Unreachable
from guards.kube.transport import Limits
from tests.edge.conftest import QUICK, FakeTime, connection_to
from tests.edge.faulty import Faulty, Reply, failure, reply, reset
from tests.edge.wire import names, page, truncated

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_tried_again(client: Client, server: Faulty, fake_time: FakeTime, status: int) -> None:
    server.script = [failure(status, "later"), failure(status, "later"), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert len(server.seen) == 3
    assert 0.1 <= fake_time.slept[0] <= 0.2 <= fake_time.slept[1] <= 0.4


def test_a_read_gives_up_with_the_servers_words(client: Client, server: Faulty) -> None:
    server.script = [failure(503, "the storage is \x1b[31mdown")]
    with pytest.raises(Unreachable, match=r"HTTP 503: the storage is  \[31mdown"):
        names(client)
    assert len(server.seen) == QUICK.tries


# Retry-After


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("1", 1), ("7", 7), ("Tue, 24 Nov 2026 12:00:09 GMT", 9), ("Tue, 24 Nov 2026 11:00:00 GMT", 0)],
)
def test_retry_after_is_honoured(
    client: Client, server: Faulty, fake_time: FakeTime, header: str, seconds: float
) -> None:
    busy = failure(429, "busy", Retry_After=header, Date="Tue, 24 Nov 2026 12:00:00 GMT")
    server.script = [busy, reply(200, page("a"))]
    assert names(client) == ["a"]
    assert fake_time.slept == [seconds]


@pytest.mark.parametrize("header", ["3600", "99999999999999999999", "Wed, 25 Nov 2026 12:00:00 GMT"])
def test_a_wish_longer_than_the_call_ends_it(client: Client, server: Faulty, fake_time: FakeTime, header: str) -> None:
    server.script = [failure(429, "busy", Retry_After=header, Date="Tue, 24 Nov 2026 12:00:00 GMT")]
    with pytest.raises(Unreachable, match="busy"):
        names(client)
    assert (len(server.seen), fake_time.slept) == (1, [])


def test_no_wish_is_honoured_for_longer_than_a_minute(server: Faulty, fake_time: FakeTime) -> None:
    client = Client(connection_to(server), Limits(total=600), fake_time.sleep, fake_time.monotonic)
    server.script = [failure(429, "busy", Retry_After="3600"), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert fake_time.slept == [60]
    client.close()


@pytest.mark.parametrize("header", ["soon", "-1", "1e9", "²", "Tue, 24 Nov 2026"])
def test_a_senseless_wish_is_ignored(client: Client, server: Faulty, fake_time: FakeTime, header: str) -> None:
    server.script = [failure(429, "busy", Retry_After=header.encode().decode("latin-1")), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert fake_time.slept[0] <= 0.2


# connections


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


BREAKS: dict[str, Callable[[Faulty], Reply]] = {
    "reset": lambda _: reset,
    "truncated": lambda _: truncated,
    "silent": lambda server: server.hold,
    "closed": lambda _: lambda _: None,
    "no HTTP": lambda _: garbage,
    "too many headers": lambda server: server.endlessly(b"X-A: b\r\n", first=b"HTTP/1.1 200 OK\r\n"),
    "a header without end": lambda server: server.endlessly(b"x" * 4096, first=b"HTTP/1.1 200 OK\r\nX-A: "),
    "broken chunks": lambda _: CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_connection_is_tried_again(client: Client, server: Faulty, fault: str) -> None:
    server.script = [BREAKS[fault](server), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert len(server.seen) == 2


def test_nobody_listens(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.close()
    with pytest.raises(Unreachable, match=r"discover cluster.x-k8s.io: http://127.*refused"):
        client.served_version(MACHINE)
    assert len(fake_time.slept) == QUICK.tries - 1


def test_a_connect_that_nobody_answers_ends(server: Faulty, fake_time: FakeTime) -> None:
    """A host that drops packets: here a listener whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        server.url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        client = Client(connection_to(server), Limits(connect=0.1, tries=2), fake_time.sleep, fake_time.monotonic)
        with pytest.raises(Unreachable, match="timed out"):
            client.served_version(MACHINE)
        assert len(fake_time.slept) == 1
        client.close()
        for each in waiting:
            each.close()


def test_a_name_that_does_not_resolve(
    client: Client, server: Faulty, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="Temporary failure in name resolution"):
        client.served_version(MACHINE)
    assert len(fake_time.slept) == QUICK.tries - 1


def test_a_read_ends_within_its_time_over_all_tries(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.script = [failure(503, "later", Retry_After="13")]
    with pytest.raises(Unreachable, match="later"):
        names(client)
    assert fake_time.slept == [13, 13], "two waits fit into 30 seconds"


# answers without an end


WITHOUT_END: dict[str, Callable[[Faulty], Reply]] = {
    "nothing at all": lambda server: server.hold,
    "headers drip": lambda server: server.endlessly(b"X-A: b\r\n", first=b"HTTP/1.1 200 OK\r\n", pause=0.05),
    "a status line drips": lambda server: server.endlessly(b"HTTP/1.1 ", pause=0.05),
    "the body drips": lambda server: server.endlessly(
        b" ", first=b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", pause=0.05
    ),
    "chunks drip": lambda server: server.endlessly(b"1\r\n \r\n", first=CHUNKED, pause=0.05),
    "100 Continue for ever": lambda server: server.endlessly(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("fault", WITHOUT_END)
def test_an_answer_without_an_end_ends(hasty: Client, server: Faulty, fault: str) -> None:
    """A read timeout does not bound a server that always sends a little more: the client hangs up on it."""
    server.script = [WITHOUT_END[fault](server)]
    with pytest.raises(Unreachable, match=r"no whole answer within|no answer within|timed out"):
        names(hasty)
    assert server.hung_up.wait(20)


def test_a_body_without_end_is_cut_off_at_its_size(client: Client, server: Faulty) -> None:
    server.script = [server.endlessly(b"10000\r\n" + b" " * 65536 + b"\r\n", first=CHUNKED)]
    with pytest.raises(Unreachable, match=r"list machines.*longer than 200000 bytes"):
        names(client)
    assert server.hung_up.wait(20)
    assert len(server.seen) == 1
    assert Limits().body == 64 * 1024 * 1024


def test_a_body_that_claims_to_be_huge_is_not_waited_for(client: Client, server: Faulty) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"
    server.script = [server.endlessly(b" " * 4096, first=head)]
    with pytest.raises(Unreachable, match="longer than 200000 bytes"):
        names(client)
    assert server.hung_up.wait(20)


def test_a_watch_that_fell_silent_ends(client: Client, server: Faulty) -> None:
    """The API server's node lost power: no packet tells. The transport's own time ends the watch."""
    server.script = [lambda connection: (connection.sendall(CHUNKED), server.hold(connection))[0]]
    with (
        pytest.raises(Unreachable, match=r"no whole answer within|timed out"),
        client._calls.stream("/watch", seconds=0.2) as (_, pieces),
    ):
        list(pieces)
    assert server.hung_up.wait(20)
