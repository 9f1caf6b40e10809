"""A loopback API server that misbehaves on request, over real sockets."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = bytes | Callable[[socket.socket], None]
"""Bytes to send, or what to do with the connection (which ends afterwards)."""


def reply(status: int, body: Any = b"", **headers: str) -> bytes:
    """One HTTP response; anything but bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + data


def reset(connection: socket.socket) -> None:
    """Close with RST, as a host does whose process died."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def failure(status: int, message: str, **headers: str) -> bytes:
    return reply(status, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message}, **headers)


class Faulty:
    """Answers discovery by itself; everything else from `script` in order, the last entry for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Reply] = []
        self.seen: list[Request] = []
        self.versions = {
            "cluster.x-k8s.io": ["v1beta2", "v1beta1"],
            "argoproj.io": ["v1alpha1"],
            "coordination.k8s.io": ["v1"],
        }
        self.connections: list[socket.socket] = []
        self.hung_up = threading.Event()
        """The client gave up on a connection that `hold` or `endlessly` had."""
        self.on_connection: Callable[[socket.socket], None] | None = None
        """What is done with a connection before anything is read from it; it ends afterwards."""
        self._tls = tls
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def until(self, count: int) -> None:
        """Wait until this many scripted requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, timeout=20), self.seen

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread in accept, or the port would go on listening
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # replies

    def hold(self, connection: socket.socket) -> None:
        """Say nothing until the client gives up."""
        with suppress(OSError):
            connection.recv(1)
        self.hung_up.set()

    def endlessly(self, data: bytes, first: bytes = b"", pause: float = 0) -> Reply:
        """Send `first`, then `data` over and over until the client gives up; a byte each `pause` seconds if given."""

        def send(connection: socket.socket) -> None:
            parts = [bytes([byte]) for byte in data] if pause else [data]
            try:
                connection.sendall(first)
                while True:
                    for part in parts:
                        connection.sendall(part)
                        threading.Event().wait(pause)
            except OSError:
                self.hung_up.set()

        return send

    # serving

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        if self.on_connection:
            with plain:
                self.on_connection(plain)
            return
        with suppress(OSError), plain, self._secured(plain) as connection, connection.makefile("rb") as stream:
            while request := _read(stream):
                answer = self._answer(request)
                if not isinstance(answer, bytes):
                    answer(connection)
                    return
                connection.sendall(answer)

    def _secured(self, plain: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(plain, server_side=True) if self._tls else plain

    def _answer(self, request: Request) -> Reply:
        group = request.path.removeprefix("/apis/")
        if request.path.startswith("/apis/") and "/" not in group:
            return self._discovery(group)
        with self._changed:
            self.seen.append(request)
            self._changed.notify_all()
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def _discovery(self, group: str) -> bytes:
        if group not in self.versions:
            return failure(404, "the server could not find the requested resource")
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in self.versions[group]]
        return reply(200, {"apiVersion": "v1", "kind": "APIGroup", "name": group, "versions": versions})


def _read(stream: Any) -> Request | None:
    first = stream.readline().decode().split()
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(first[0], first[1], headers, stream.read(int(headers.get("content-length", 0))))
