"""A small Kubernetes API over real sockets: enough to create a Workflow and watch it run its course."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from guards.parameters import ASKED

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/argo/workflows"
TEMPLATE = "/apis/argoproj.io/v1alpha1/namespaces/argo/workflowtemplates/capi-rollout-orchestrator"


class FakeApi:
    """`course` is what the Workflow's status becomes, look by look; the last one stays. `replies` overrides paths."""

    def __init__(self) -> None:
        self.course: list[dict[str, Any]] = [{}]
        self.replies: dict[tuple[str, str], tuple[int, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.created: dict[str, Any] | None = None
        self.looks = 0
        self.closed = False
        self.news = threading.Condition()
        self.on_look: Callable[[], None] = lambda: None
        parameters = [{"name": knob.name} for knob in ASKED]
        self.template = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "capi-rollout-orchestrator", "namespace": "argo"},
            "spec": {"arguments": {"parameters": parameters}},
        }
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        with self.news:
            self.closed = True
            self.news.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def posts(self) -> list[Any]:
        return [body for method, _, body in self.requests if method == "POST"]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, body))
        bare = urlsplit(path).path
        if (method, bare) in self.replies:
            return self.replies[method, bare]
        if bare == "/apis/argoproj.io":
            versions = [{"groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1"}]
            return 200, {"apiVersion": "v1", "kind": "APIGroup", "versions": versions}
        if bare == TEMPLATE:
            return 200, self.template
        if (method, bare) == ("POST", WORKFLOWS):
            return 201, self._create(body)
        if self.created and bare == f"{WORKFLOWS}/{self.created['metadata']['name']}":
            return 200, self._look()
        return not_found(bare.rsplit("/", 1)[-1])

    def _create(self, body: Any) -> Any:
        metadata = body["metadata"] | {"name": body["metadata"]["generateName"] + "x7k2p", "uid": "u-1"}
        self.created = body | {"metadata": metadata}
        return self.created

    def _look(self) -> Any:
        self.on_look()
        with self.news:
            status = self.course[min(self.looks, len(self.course) - 1)]
            self.looks += 1
            self.news.notify_all()
        return self.created | {"status": status}  # type: ignore[operator]


def status(code: int, message: str, **more: Any) -> tuple[int, Any]:
    return code, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message} | more


def not_found(name: str) -> tuple[int, Any]:
    return status(404, f'"{name}" not found', reason="NotFound", details={"name": name})


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: between two, the kernels wait for each other for 40 ms

        def do_GET(self) -> None:
            if "watch=true" in self.path:
                self._watch()
            else:
                self._send(*api.answer("GET", self.path, None))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*api.answer("POST", self.path, body))

        def _send(self, code: int, document: Any) -> None:
            data = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _watch(self) -> None:
            """An event after every look that has a successor, so that nobody waits out a whole period."""
            self.send_response(200)
            self.end_headers()
            for look in range(10_000):
                with api.news:
                    api.news.wait_for(lambda least=look: api.looks > least or api.closed, timeout=5)
                    if api.closed:
                        return
                try:
                    self.wfile.write(b'{"type":"MODIFIED","object":{}}\n')
                    self.wfile.flush()
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def kubeconfig(path: Path, url: str, context: str = "mgmt") -> Path:
    document = {
        "clusters": [{"name": context, "cluster": {"server": url}}],
        "users": [{"name": context, "user": {"token": "t"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    path.write_text(yaml.safe_dump(document))
    return path
