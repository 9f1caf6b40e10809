"""A proxy between the pods and the API server, in which a write can be held before or after the server has seen it.

It speaks with the API server's own certificate on a port of its own, and passes the caller's token on. What it counts
is what reached the API server, whatever anybody's log says.
"""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ci.cluster.settings import PKI, node_ip

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
LONGEST_HOLD = 300.0
"""Seconds after which a request that nobody released is dropped, so that a failed test ends."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: str

    def is_delete_of(self, machine: str) -> bool:
        return self.method == "DELETE" and self.path.split("?")[0].endswith(f"/machines/{machine}")

    def is_lease_write(self, cluster: str) -> bool:
        return self.method == "PUT" and self.path.split("?")[0].endswith(f"/leases/capi-rollout-{cluster}")


@dataclass
class Hold:
    """One request that waits here, the first that `matches`; before or after the API server has seen it."""

    matches: Callable[[Request], bool]
    after: bool
    arrived: threading.Event = field(default_factory=threading.Event)
    decided: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False
    answered: threading.Event = field(default_factory=threading.Event)
    """The API server has answered."""

    def wait(self, seconds: float = 240) -> None:
        assert self.arrived.wait(seconds), f"no such request came in {seconds:.0f} s"

    def release(self) -> None:
        self.decided.set()

    def drop(self) -> None:
        """The request, or its answer, is lost on the way."""
        self.dropped = True
        self.decided.set()


class WriteProxy:
    """Runs in threads of this process. `seen` are the writes that the API server got, with its answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[Request, int]] = []
        self._holds: list[Hold] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((node_ip(), 0), type("Bound", (_Handler,), {"proxy": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(PKI / "apiserver.crt", PKI / "apiserver.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a pod talk to this proxy."""
        return {"KUBERNETES_SERVICE_HOST": node_ip(), "KUBERNETES_SERVICE_PORT": str(self._server.server_port)}

    @contextmanager
    def hold(self, matches: Callable[[Request], bool], *, after: bool = False) -> Iterator[Hold]:
        """The next request that matches waits until the block says what becomes of it, or ends (then it is dropped)."""
        one = Hold(matches, after)
        with self._lock:
            self._holds.append(one)
        try:
            yield one
        finally:
            with self._lock:
                if one in self._holds:
                    self._holds.remove(one)
            if not one.decided.is_set():
                one.drop()

    def deletes(self, machine: str) -> list[int]:
        """The API server's answers to all deletes of this Machine."""
        return [status for request, status in self.seen if request.is_delete_of(machine)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: Request) -> Hold | None:
        with self._lock:
            found = next((hold for hold in self._holds if hold.matches(request)), None)
            if found:
                self._holds.remove(found)
            return found

    def note(self, request: Request, status: int) -> None:
        with self._lock:
            self.seen.append((request, status))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: WriteProxy

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        request = Request(self.command, self.path, body.decode(errors="replace"))
        hold = None if self.command == "GET" else self.proxy.take(request)
        if hold and not hold.after and not self._may_go_on(hold):
            return
        context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
        upstream = http.client.HTTPSConnection(node_ip(), 6443, context=context, timeout=600)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            if self.command != "GET":
                self.proxy.note(request, answer.status)
            if hold:
                hold.answered.set()
            if hold and hold.after and not self._may_go_on(hold):
                return
            self._answer(answer)
        except OSError:
            self.close_connection = True  # one of both sides went away
        finally:
            upstream.close()

    def _may_go_on(self, hold: Hold) -> bool:
        hold.arrived.set()
        goes = hold.decided.wait(LONGEST_HOLD) and not hold.dropped
        self.close_connection = self.close_connection or not goes
        return goes

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOP:
                self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, *_: Any) -> None:
        pass
