"""Every listed fault of the API server, over real sockets: what it means, and how often the server was asked."""

import json
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from guards.kube.access import CLUSTER, MACHINE, TALOS_CONTROL_PLANE, WORKFLOW, Kind
from guards.kube.client import Client
from guards.kube.errors import Conflict, Forbidden, Invalid, NotFound, NotServed, Unreachable
from guards.kube.transport import Limits
from tests.edge.conftest import QUICK, FakeTime, connection_to
from tests.edge.faulty import Faulty, failure, reply, reset

V2 = "cluster.x-k8s.io/v1beta2"


def machine(name: str, namespace: str = "default") -> dict[str, Any]:
    return {"apiVersion": V2, "kind": "Machine", "metadata": {"name": name, "namespace": namespace}}


def page(*names: str, version: str = "10", token: str = "") -> dict[str, Any]:
    head = {"resourceVersion": version} | ({"continue": token} if token else {})
    return {"apiVersion": V2, "kind": "MachineList", "metadata": head, "items": [machine(name) for name in names]}


def names(client: Client) -> list[str]:
    return client.list(MACHINE, "default", "a=b", lambda item: str(item["metadata"]["name"]))


def test_a_list_asks_for_the_newest_state_in_pages(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, page("b"))]
    assert names(client) == ["a", "b"]
    first, second = (parse_qs(urlsplit(request.path).query) for request in server.seen)
    assert first == {"limit": ["500"], "labelSelector": ["a=b"]}
    assert second == first | {"continue": ["next"]}


def test_one_connection_serves_many_calls(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, page("b")), reply(200, page()), failure(403, "no")]
    assert names(client) == ["a", "b"]
    names(client)
    with pytest.raises(Forbidden):
        names(client)
    assert server.connections == 1


def test_an_empty_list_is_an_answer(client: Client, server: Faulty) -> None:
    server.script = [reply(200, page())]
    assert names(client) == []


BROKEN = {
    "Status: Failure with 200": (failure(200, "etcd is busy"), "etcd is busy"),
    "items: null": (reply(200, page() | {"items": None}), "items is None"),
    "items is missing": (
        reply(200, {"apiVersion": V2, "kind": "MachineList", "metadata": {"resourceVersion": "1"}}),
        "items is None",
    ),
    "another kind": (reply(200, page() | {"kind": "ClusterList"}), "ClusterList"),
    "another version": (reply(200, page() | {"apiVersion": "cluster.x-k8s.io/v1beta1"}), "v1beta1"),
    "empty body": (reply(200, b""), "not the JSON"),
    "null": (reply(200, b"null"), "None"),
    "a list": (reply(200, b"[]"), r"\[\]"),
    "a page of a proxy": (reply(200, b"<html>Sign in</html>"), "not the JSON"),
    "a key twice": (reply(200, b'{"kind":"MachineList","kind":"MachineList"}'), "'kind' appears twice"),
    "NaN": (reply(200, b'{"a":NaN}'), "NaN"),
    "Infinity": (reply(200, b'{"a":-Infinity}'), "Infinity"),
    "endless nesting": (reply(200, b"[" * 100_000), "nested"),
    "not UTF-8": (reply(200, b'{"a":"\xff"}'), "utf-8"),
    "an object without a name": (reply(200, page() | {"items": [{"metadata": {}}]}), "no metadata.name"),
    "an item that is null": (reply(200, page() | {"items": [None]}), "no metadata.name"),
    "another namespace": (reply(200, page() | {"items": [machine("a", "kube-system")]}), "kube-system"),
    "no resourceVersion": (reply(200, page(version="")), "resourceVersion"),
    "an object twice": (reply(200, page("a", "a")), "listed twice"),
    "too long": (reply(200, page() | {"padding": "x" * 300_000}), "longer than 200000"),
    "compressed": (reply(200, page(), Content_Encoding="gzip"), "gzip"),
    "a redirect": (reply(302, b"", Location="http://127.0.0.1:1/"), "302"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_is_no_answer(client: Client, server: Faulty, fault: str) -> None:
    answer, message = BROKEN[fault]
    server.script = [answer]
    with pytest.raises(Unreachable, match=message):
        names(client)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (page("b", token="next"), "circle"),
        (page("a"), "listed twice"),
        (page("b", version="11"), "resourceVersion 11"),
        ({"kind": "Status", "apiVersion": "v1"}, "Status"),
    ],
)
def test_half_a_list_is_never_returned(client: Client, server: Faulty, second: Any, message: str) -> None:
    server.script = [reply(200, page("a", token="next")), reply(200, second)]
    with pytest.raises(Unreachable, match=message):
        names(client)


def test_an_expired_token_starts_the_list_over(client: Client, server: Faulty) -> None:
    server.script = [
        reply(200, page("a", token="old")),
        failure(410, "too old"),
        reply(200, page("c", version="12", token="new")),
        reply(200, page("d", version="12")),
    ]
    assert names(client) == ["c", "d"]


def test_tokens_that_always_expire_end(client: Client, server: Faulty) -> None:
    first, gone = reply(200, page("a", token="old")), failure(410, "too old")
    server.script = [first, gone] * 3 + [reply(200, page())]
    with pytest.raises(Unreachable, match="expired 3 times"):
        names(client)
    assert len(server.seen) == 6


def test_an_older_state_is_refused(client: Client, server: Faulty) -> None:
    server.script = [
        reply(200, page("a", version="100")),
        reply(200, page(version="99")),
        reply(200, page("b", version="100")),
    ]
    assert names(client) == ["a"]
    with pytest.raises(Unreachable, match="stale list: resourceVersion 99, but 100"):
        names(client)
    assert names(client) == ["b"]


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


def truncated(connection: socket.socket) -> None:
    connection.sendall(reply(200, page("a"))[:-5])


def silent(server: Faulty) -> Any:
    return lambda connection: server.finished.wait(5)


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


# -- permissions, missing things


def test_403_is_not_tried_again(client: Client, server: Faulty) -> None:
    server.script = [failure(403, 'machines is forbidden: User "x" cannot list')]
    with pytest.raises(Forbidden, match=r"list machines.cluster.x-k8s.io in default: HTTP 403: machines is forbidden"):
        names(client)
    assert len(server.seen) == 1


def test_401_asks_for_fresh_credentials_once(client: Client, server: Faulty) -> None:
    server.script = [failure(401, "Unauthorized"), reply(200, page("a"))]
    assert names(client) == ["a"]
    server.script = [failure(401, "Unauthorized")]
    with pytest.raises(Forbidden, match="HTTP 401"):
        names(client)
    assert len(server.seen) == 4


def missing(name: str) -> bytes:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": f'clusters "{name}" not found'}
    return reply(404, status | {"reason": "NotFound", "details": {"name": name, "kind": "clusters"}})


def test_a_missing_object_and_a_missing_kind_differ(client: Client, server: Faulty) -> None:
    server.script = [missing("homelab"), reply(404, b"404 page not found\n")]
    with pytest.raises(NotFound, match="homelab"):
        client.get(CLUSTER, "default", "homelab")
    with pytest.raises(NotServed, match="get clusters"):
        client.get(CLUSTER, "default", "homelab")


def test_a_missing_collection_is_not_served(client: Client, server: Faulty) -> None:
    server.script = [reply(404, b"404 page not found\n")]
    with pytest.raises(NotServed, match=r"list machines.cluster.x-k8s.io"):
        names(client)


def test_a_version_that_ends_is_discovered_again(client: Client, server: Faulty) -> None:
    assert client.served_version(MACHINE) == "v1beta2"
    server.versions["cluster.x-k8s.io"] = ["v1beta1"]
    old = page("a") | {"apiVersion": "cluster.x-k8s.io/v1beta1"}
    server.script = [reply(404, b"404 page not found\n"), reply(200, old)]
    assert names(client) == ["a"]


def test_kinds_that_are_not_served(client: Client, server: Faulty) -> None:
    with pytest.raises(NotServed, match=r"no API group controlplane.cluster.x-k8s.io"):
        client.served_version(TALOS_CONTROL_PLANE)
    with pytest.raises(NotServed, match=r"served at v1alpha1; this program reads v9"):
        client.served_version(Kind("Workflow", "argoproj.io", "workflows", ("v9",)))


def test_the_object_must_be_the_one_asked_for(client: Client, server: Faulty) -> None:
    server.script = [reply(200, machine("b"))]
    with pytest.raises(Unreachable, match="the answer is b"):
        client.get(MACHINE, "default", "a")


def review(status: Any) -> bytes:
    return reply(201, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": status})


def test_an_access_review(client: Client, server: Faulty) -> None:
    server.script = [failure(500, "later"), review({"allowed": True}), review({"allowed": False})]
    assert client.allowed("list", "cluster.x-k8s.io", "machines", "default") is True
    assert client.allowed("list", "cluster.x-k8s.io", "machines", "default") is False
    asked = json.loads(server.seen[-1].body)["spec"]["resourceAttributes"]
    assert asked == {"verb": "list", "group": "cluster.x-k8s.io", "resource": "machines", "namespace": "default"}


@pytest.mark.parametrize("status", [None, {}, {"allowed": "yes"}, {"allowed": None}])
def test_a_review_without_a_verdict_is_no_answer(client: Client, server: Faulty, status: Any) -> None:
    server.script = [review(status)]
    with pytest.raises(Unreachable, match="no verdict"):
        client.allowed("list", "cluster.x-k8s.io", "machines", "default")


# -- writes


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


# -- surroundings


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
