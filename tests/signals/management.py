"""A simulated cluster as an API server on a loopback port, for processes of their own.

Simulated time passes only while nobody asks anything: a look costs none, and a process that is stopped loses it.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from guards.kube import access
from guards.kube.access import Kind, infrastructure_kind
from guards.kube.errors import Conflict, Forbidden, Invalid, NotFound, NotServed
from guards.simulator import Simulation

IDLE = 0.04
"""Real seconds without a request after which time passes."""
TICK = 20.0
"""Simulated seconds that pass at once."""
KINDS = (*(kind for kind in vars(access).values()
           if isinstance(kind, Kind) and kind is not access.WORKFLOW_TEMPLATE_KIND),  # no step asks for one
         infrastructure_kind("MetalMachineTemplate", access.INFRASTRUCTURE, "v1alpha3"))  # fmt: skip
STATUS = {NotFound: 404, Conflict: 409, Forbidden: 403, Invalid: 422, NotServed: 404}
OBJECT = re.compile(r"/apis?/(?:[^/]+/)?v[^/]+/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?")


class Management:
    """`seen`: method and path of every request, in order. `on_delete` is told a Machine's UID before it is deleted."""

    def __init__(self, simulation: Simulation, lock: threading.RLock, to_wire: Callable[[str], str]) -> None:
        self.simulation, self.lock, self.to_wire = simulation, lock, to_wire
        self.seen: list[str] = []
        self.on_delete: Callable[[str], None] = lambda uid: None
        self.before_answer: Callable[[], None] = lambda: None
        """Called when a request has been carried out and nobody knows yet; may take its time."""
        self.works: Callable[[], bool] = lambda: False
        """Whether somebody is about to ask something."""
        self.news = threading.Condition()
        self.ticks: dict[str, int] = {}
        """Kind -> how often a watch of it was woken."""
        self.closed = False
        self._asked_at = float("inf")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        for work in (lambda: self.server.serve_forever(0.01), self._pass_time):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        with self.news:
            self.closed = True
            self.news.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def log(self, what: str) -> None:
        with self.news:
            self.seen.append(what)
            self.busy()
            self.news.notify_all()

    def busy(self) -> None:
        """Somebody asks something, here or elsewhere; the first request of all lets time begin."""
        if self.seen:
            self._asked_at = time.monotonic()

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something that a request changes is so."""
        with self.news:
            return self.news.wait_for(holds, timeout=seconds)

    def woken(self, kind: str) -> bool:
        """Wait for the next tick of this kind, or for a while; False when the server is closed."""
        with self.news:
            told = self.ticks.get(kind, 0)
            self.news.wait_for(lambda: self.closed or self.ticks.get(kind, 0) > told, 5)
            return not self.closed

    def _pass_time(self) -> None:
        while not self.closed:
            threading.Event().wait(IDLE / 2)
            if self.works():
                self.busy()
            if time.monotonic() - self._asked_at < IDLE:
                continue
            with self.lock:
                changed = {kind.name for kind in self.simulation.wait(TICK)}
            with self.news:
                # Every tick also wakes the Machines' watch: a real pollInterval would be hours of this world.
                for kind in changed | {"Machine"}:
                    self.ticks[kind] = self.ticks.get(kind, 0) + 1
                self.news.notify_all()

    # requests

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        try:
            with self.lock:
                return self._answer(method, path, body)
        except tuple(STATUS) as error:
            code = STATUS[type(error)]
            found = OBJECT.match(path)
            name = {"details": {"name": found["name"] or ""}} if found and isinstance(error, NotFound) else {}
            return code, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": str(error)} | name

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path.endswith("/selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            verdict = self.simulation.allowed(asked["verb"], asked["group"], asked["resource"], asked["namespace"])
            return 201, body | {"status": {"allowed": verdict}}
        found = OBJECT.fullmatch(urlsplit(path).path)
        if found is None:
            return 200, self._group(path.removeprefix("/apis/"))
        kind = next(kind for kind in KINDS if kind.plural == found["plural"])
        return self._object(method, kind, found["namespace"], found["name"] or "", parse_qs(urlsplit(path).query), body)

    def _object(
        self, method: str, kind: Kind, namespace: str, name: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        world = self.simulation
        match method:
            case "GET" if name:
                return 200, world.get(kind, namespace, name)
            case "GET":
                items = world.list(kind, namespace, query.get("labelSelector", [""])[0], lambda item: item)
                version = f"{kind.group}/{world.served_version(kind)}"
                head = {"resourceVersion": str(world.version)}
                return 200, {"apiVersion": version, "kind": f"{kind.name}List", "metadata": head, "items": items}
            case "POST":
                return 201, world.create(kind, namespace, body)
            case "PUT":
                return 200, world.update(kind, namespace, body)
            case "DELETE":
                wanted = body["preconditions"]
                self.on_delete(wanted["uid"])
                world.delete(kind, namespace, name, wanted["uid"], wanted["resourceVersion"])
                details = {"name": name, "uid": wanted["uid"]}
                return 200, {"apiVersion": "v1", "kind": "Status", "status": "Success", "details": details}
        raise AssertionError(f"{method} {kind}")

    def _group(self, group: str) -> Any:
        versions = {self.simulation.served_version(kind) for kind in KINDS if kind.group == group}
        return {"apiVersion": "v1", "kind": "APIGroup", "versions": [{"version": version} for version in versions]}


def _handler(management: Management) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(OSError):  # the process is gone
                super().handle()

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()

        def do_GET(self) -> None:
            if "watch=true" in self.path:
                self._watch(next(kind.name for kind in KINDS if f"/{kind.plural}?" in self.path))
            else:
                self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def do_PUT(self) -> None:
            self._do("PUT")

        def do_DELETE(self) -> None:
            self._do("DELETE")

        def _do(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, document = management.answer(method, self.path, body)
            management.log(f"{method} {self.path}")
            management.before_answer()
            data = management.to_wire(json.dumps(document)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def date_time_string(self, timestamp: float | None = None) -> str:
            """The Date header, by which the client sets its clock."""
            return f"{management.simulation.now():%a, %d %b %Y %H:%M:%S} GMT"

        def _watch(self, kind: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            while management.woken(kind):
                self.wfile.write(b'{"type":"MODIFIED","object":{}}\n')
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
