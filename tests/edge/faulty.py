"""A loopback API server that misbehaves on request, over real sockets."""

import json
import socket
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

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.seen: list[Request] = []
        self.versions = {"cluster.x-k8s.io": ["v1beta2", "v1beta1"], "argoproj.io": ["v1alpha1"]}
        self.connections = 0
        self.finished = threading.Event()
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def until(self, count: int) -> None:
        """Wait until this many scripted requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, timeout=5), self.seen

    def close(self) -> None:
        self.finished.set()
        with suppress(OSError):  # wakes the thread in accept, or the port would go on listening
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while request := _read(stream):
                    answer = self._answer(request)
                    if not isinstance(answer, bytes):
                        answer(connection)
                        return
                    connection.sendall(answer)
            except OSError:
                return

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
