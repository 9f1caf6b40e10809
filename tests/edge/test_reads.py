"""What a read survives and what ends it, and how often the server was asked."""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from guards.kube.access import MACHINE
from guards.kube.client import Client
from guards.kube.errors import Unreachable
from tests.edge.conftest import QUICK, FakeTime, connection_to
from tests.edge.faulty import Faulty, failure, reply, reset
from tests.edge.wire import names, page, silent, truncated


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


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), ("Tue, 24 Nov 2026 12:00:09 GMT", 9), ("Tue, 24 Nov 2026 11:00:00 GMT", 0)],
)
def test_retry_after_is_honoured(
    client: Client, server: Faulty, fake_time: FakeTime, header: str, seconds: float
) -> None:
    busy = failure(429, "busy", Retry_After=header, Date="Tue, 24 Nov 2026 12:00:00 GMT")
    server.script = [busy, reply(200, page("a"))]
    assert names(client) == ["a"]
    assert fake_time.slept == [seconds]


def test_a_wish_longer_than_the_call_ends_it(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.script = [failure(429, "busy", Retry_After="3600")]
    with pytest.raises(Unreachable, match="busy"):
        names(client)
    assert (len(server.seen), fake_time.slept) == (1, [])


@pytest.mark.parametrize("header", ["soon", "-1", "1e9", "²"])
def test_a_senseless_wish_is_ignored(client: Client, server: Faulty, fake_time: FakeTime, header: str) -> None:
    server.script = [failure(429, "busy", Retry_After=header.encode().decode("latin-1")), reply(200, page("a"))]
    assert names(client) == ["a"]
    assert fake_time.slept[0] <= 0.2


@pytest.mark.parametrize("fault", ["reset", "truncated", "silent", "closed"])
def test_a_broken_connection_is_tried_again(client: Client, server: Faulty, fault: str) -> None:
    faults = {"reset": reset, "truncated": truncated, "silent": silent(server), "closed": lambda _: None}
    server.script = [faults[fault], reply(200, page("a"))]
    assert names(client) == ["a"]
    assert len(server.seen) == 2


def test_nobody_listens(client: Client, server: Faulty, fake_time: FakeTime) -> None:
    server.close()
    with pytest.raises(Unreachable, match=r"discover cluster.x-k8s.io: http://127.*refused"):
        client.served_version(MACHINE)
    assert len(fake_time.slept) == QUICK.tries - 1


def dripping(server: Faulty, data: bytes) -> Any:
    """One byte at a time, each well inside the read timeout."""

    def drip(connection: socket.socket) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            if server.finished.wait(0.05):
                return

    return drip


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_slow_drip_ends(server: Faulty, part: str) -> None:
    data = reply(200, page("a") | {"padding": "x" * 2000})
    head, _, body = data.partition(b"\r\n\r\n")

    def whole_head_first(connection: socket.socket) -> None:
        connection.sendall(head + b"\r\n\r\n")
        dripping(server, body)(connection)

    server.script = [dripping(server, data) if part == "head" else whole_head_first]
    client = Client(connection_to(server), QUICK)
    client.served_version(MACHINE)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no whole answer within 1s|no answer within"):
        names(client)
    assert time.monotonic() - started < 2 * QUICK.total
    client.close()


def test_a_tls_handshake_that_drips_ends(server: Faulty) -> None:
    """The watchdog reaches a connection that TLS has not finished yet."""
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"https://127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            # A record header that promises 16 KiB of handshake.
            dripping(server, b"\x16\x03\x03\x40\x00" + bytes(16384))(connection)

    threading.Thread(target=accept, daemon=True).start()
    client = Client(connection_to(server), QUICK)
    started = time.monotonic()
    with pytest.raises(Unreachable):
        names(client)
    assert time.monotonic() - started < 2 * QUICK.total
    listener.close()
    client.close()
