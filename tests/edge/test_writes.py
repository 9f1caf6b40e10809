"""Writes: sent once whatever happens, each against one state of one object, and honest about what nobody knows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from guards.kube.access import LEASE, MACHINE, WORKFLOW, Kind
from guards.kube.client import Client
from guards.kube.errors import Conflict, Forbidden, Invalid, NotFound, NotServed, Unreachable
from tests.edge.faulty import Faulty, failure, reply, reset
from tests.edge.wire import machine, truncated

UNKNOWN = "whether it was done is unknown"


def workflow(**metadata: Any) -> dict[str, Any]:
    head = {"namespace": "argo"} | metadata
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": head}


def lease(**metadata: Any) -> dict[str, Any]:
    head = {"name": "capi-rollout-a", "namespace": "default", "uid": "u-1", "resourceVersion": "7"} | metadata
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": head, "spec": {"holderIdentity": "x"}}


def held(**metadata: Any) -> dict[str, Any]:
    """A deleted Machine that its finalizers still hold."""
    found = machine("a")
    found["metadata"] |= {"uid": "u-1", "deletionTimestamp": "2026-01-01T00:00:00Z"} | metadata
    return found


@dataclass
class Write:
    """One verb: how it is called, and what the API server answers when it is done."""

    name: str
    method: str
    send: Callable[[Client], Any]
    done: dict[str, Any]

    def __str__(self) -> str:
        return self.name


GONE = {"apiVersion": "v1", "kind": "Status", "status": "Success", "details": {"name": "a", "uid": "u-1"}}
CREATE = Write("create", "POST", lambda c: c.create(WORKFLOW, "argo", workflow(name="a")), workflow(name="a"))
UPDATE = Write("update", "PUT", lambda c: c.update(LEASE, "default", lease()), lease(resourceVersion="8"))
DELETE = Write("delete", "DELETE", lambda c: c.delete(MACHINE, "default", "a", "u-1", "7"), GONE)
WRITES = (CREATE, UPDATE, DELETE)
every_write = pytest.mark.parametrize("write", WRITES, ids=str)


def query(server: Faulty) -> dict[str, list[str]]:
    return parse_qs(urlsplit(server.seen[0].path).query)


@every_write
def test_a_write_is_one_request(client: Client, server: Faulty, write: Write) -> None:
    server.script = [reply(200, write.done)]
    write.send(client)
    assert [request.method for request in server.seen] == [write.method]


REFUSED = {400: Invalid, 401: Forbidden, 403: Forbidden, 404: NotServed, 409: Conflict, 422: Invalid}


@every_write
@pytest.mark.parametrize("status", REFUSED)
def test_a_refused_write_is_sent_once(client: Client, server: Faulty, write: Write, status: int) -> None:
    server.script = [failure(status, "no")]
    with pytest.raises(REFUSED[status], match=f"^{write} .*: HTTP {status}: no") as error:
        write.send(client)
    assert UNKNOWN not in str(error.value)
    assert len(server.seen) == 1


@every_write
@pytest.mark.parametrize("wish", ["0", "1", "3600", "soon"])
def test_429_is_not_done_and_not_sent_again(client: Client, server: Faulty, write: Write, wish: str) -> None:
    server.script = [failure(429, "too many requests", Retry_After=wish)]
    with pytest.raises(Unreachable, match="HTTP 429: too many requests; not done: run the whole guard again") as error:
        write.send(client)
    assert UNKNOWN not in str(error.value)
    assert len(server.seen) == 1


BROKEN = {
    "reset": reset,
    "closed": lambda _: None,
    "truncated": truncated,
    "cut in the headers": lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "no HTTP": b"SSH-2.0-x\r\n",
    "500": failure(500, "etcdserver: request timed out"),
    "500 of a webhook": failure(500, 'failed calling webhook "validation.machine.cluster.x-k8s.io"'),
    "502": failure(502, "x"),
    "503": failure(503, "x", Retry_After="0"),
    "504": failure(504, "x"),
    "408": failure(408, "x"),
    "a page": reply(200, b"<html>"),
    "empty": reply(200, b""),
    "null": reply(200, b"null"),
    "Status: Failure": failure(200, "etcd is busy"),
    "another kind": reply(200, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
    "too long": reply(200, b" " * 300_000),
    "compressed": reply(200, b"{}", Content_Encoding="gzip"),
}


@every_write
@pytest.mark.parametrize("fault", BROKEN)
def test_a_write_with_unknown_outcome_is_sent_once(client: Client, server: Faulty, write: Write, fault: str) -> None:
    server.script = [BROKEN[fault]]
    with pytest.raises(Unreachable, match=rf"^{write} .*: {UNKNOWN}: "):
        write.send(client)
    assert len(server.seen) == 1


@every_write
@pytest.mark.parametrize("fault", ["silent", "dripping", "endless"])
def test_a_write_ends_within_its_time(hasty: Client, server: Faulty, write: Write, fault: str) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    faults = {
        "silent": server.hold,
        "dripping": server.endlessly(reply(200, write.done), pause=0.05),
        "endless": server.endlessly(b"1000\r\n" + b" " * 4096 + b"\r\n", first=chunked),
    }
    server.script = [faults[fault]]
    with pytest.raises(Unreachable, match=rf"^{write} .*: {UNKNOWN}: "):
        write.send(hasty)
    assert server.hung_up.wait(20)
    assert len(server.seen) == 1


@every_write
def test_nobody_listens(client: Client, server: Faulty, write: Write) -> None:
    server.script = [reply(200, write.done)]
    write.send(client)
    server.close()
    with pytest.raises(Unreachable, match=UNKNOWN):
        write.send(client)
    assert len(server.seen) == 1


@every_write
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_write_follows_no_redirect(client: Client, server: Faulty, write: Write, status: int) -> None:
    server.script = [reply(status, b"", Location=f"{server.url}/apis/elsewhere/"), reply(200, write.done)]
    with pytest.raises(Unreachable, match=f"{UNKNOWN}: HTTP {status}"):
        write.send(client)
    assert len(server.seen) == 1


@every_write
def test_401_renews_the_credential_for_the_next_call(
    client: Client, server: Faulty, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[int] = []
    monkeypatch.setattr(client.connection, "renew", lambda: renewed.append(len(server.seen)))
    server.script = [failure(401, "Unauthorized"), reply(200, write.done)]
    with pytest.raises(Forbidden, match="HTTP 401"):
        write.send(client)
    assert (len(server.seen), renewed) == (1, [1])
    write.send(client)


@every_write
def test_a_closed_client_sends_nothing(client: Client, server: Faulty, write: Write) -> None:
    server.script = [reply(200, write.done)]
    write.send(client)
    client.close()
    with pytest.raises(Unreachable, match="this client is closed"):
        write.send(client)
    assert len(server.seen) == 1


@every_write
def test_the_answers_clock_does_not_undo_a_write(client: Client, server: Faulty, write: Write) -> None:
    server.script = [reply(200, page(), Date="Tue, 24 Nov 2026 12:00:00 GMT"),
                     reply(200, write.done, Date="Tue, 24 Nov 2026 11:00:00 GMT")]  # fmt: skip
    client.list(MACHINE, "default", "", dict)
    write.send(client)


def page() -> dict[str, Any]:
    version = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineList"}
    return version | {"metadata": {"resourceVersion": "1"}, "items": []}


def not_found(name: str) -> bytes:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": f'"{name}" not found'}
    return reply(404, status | {"reason": "NotFound", "details": {"name": name}})


# create


def test_create_is_strict_and_returns_what_is_stored(client: Client, server: Faulty) -> None:
    server.script = [reply(201, workflow(name="a-1"))]
    body = workflow(generateName="a-")
    assert client.create(WORKFLOW, "argo", body)["metadata"]["name"] == "a-1"
    assert query(server) == {"fieldValidation": ["Strict"]}
    assert json.loads(server.seen[0].body) == body


def test_a_dry_run_says_so(client: Client, server: Faulty) -> None:
    server.script = [reply(201, workflow(name="a-1"))]
    client.create(WORKFLOW, "argo", workflow(generateName="a-"), dry_run=True)
    assert query(server)["dryRun"] == ["All"]


def test_create_in_a_namespace_that_does_not_exist(client: Client, server: Faulty) -> None:
    server.script = [not_found("argo")]
    with pytest.raises(NotFound, match="argo"):
        CREATE.send(client)


def test_the_core_group_has_a_path_of_its_own(client: Client, server: Faulty) -> None:
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a", "namespace": "default"}}
    server.script = [reply(201, event)]
    assert client.create(Kind("Event", "", "events", ("v1",)), "default", event) == event
    assert urlsplit(server.seen[0].path).path == "/api/v1/namespaces/default/events"


# update


def test_update_puts_the_object_whole_and_returns_what_is_stored(client: Client, server: Faulty) -> None:
    server.script = [reply(200, lease(resourceVersion="8"))]
    assert client.update(LEASE, "default", lease())["metadata"]["resourceVersion"] == "8"
    (request,) = server.seen
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/capi-rollout-a"
    assert (request.method, urlsplit(request.path).path, query(server)) == (
        "PUT",
        path,
        {"fieldValidation": ["Strict"]},
    )
    assert json.loads(request.body) == lease()


@pytest.mark.parametrize("head", [{"resourceVersion": ""}, {"resourceVersion": "0"}, {"resourceVersion": None},
                                  {"uid": ""}, {"uid": None}])  # fmt: skip
def test_update_never_goes_without_its_preconditions(client: Client, server: Faulty, head: dict[str, Any]) -> None:
    """Without a resourceVersion it overwrites anything; without a UID it creates a Lease that somebody deleted."""
    with pytest.raises(ValueError, match="could hit another object or state"):
        client.update(LEASE, "default", lease(**head))
    assert server.seen == []


def test_update_of_something_that_is_gone(client: Client, server: Faulty) -> None:
    server.script = [not_found("capi-rollout-a")]
    with pytest.raises(NotFound, match=r"update leases\.coordination\.k8s\.io default/capi-rollout-a"):
        UPDATE.send(client)


@pytest.mark.parametrize("head", [{"name": "other"}, {"namespace": "other"}])
def test_an_update_is_answered_with_its_own_object(client: Client, server: Faulty, head: dict[str, str]) -> None:
    server.script = [reply(200, lease(**head))]
    with pytest.raises(Unreachable, match=rf"{UNKNOWN}.*other"):
        UPDATE.send(client)


# delete


def test_delete_carries_both_preconditions(client: Client, server: Faulty) -> None:
    server.script = [reply(200, GONE)]
    client.delete(MACHINE, "default", "a", "u-1", "7")
    (request,) = server.seen
    assert (request.method, request.path) == (
        "DELETE",
        "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/machines/a",
    )
    assert json.loads(request.body) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u-1", "resourceVersion": "7"},
        "propagationPolicy": "Background",
    }


@pytest.mark.parametrize(("uid", "version"), [("", "7"), ("u-1", ""), ("u-1", "0")])
def test_delete_never_goes_without_its_preconditions(client: Client, server: Faulty, uid: str, version: str) -> None:
    with pytest.raises(ValueError, match="could hit another object or state"):
        client.delete(MACHINE, "default", "a", uid, version)
    assert server.seen == []


@pytest.mark.parametrize("status", [200, 202])
def test_an_object_that_its_finalizers_hold_is_deleted_too(client: Client, server: Faulty, status: int) -> None:
    server.script = [reply(status, held())]
    DELETE.send(client)


def test_the_deletion_of_another_object_is_no_answer(client: Client, server: Faulty) -> None:
    server.script = [reply(200, held(uid="u-2"))]
    with pytest.raises(Unreachable, match=f"{UNKNOWN}: the answer is a Machine of UID u-2, expected u-1"):
        DELETE.send(client)


def test_delete_of_something_that_is_gone(client: Client, server: Faulty) -> None:
    server.script = [not_found("a")]
    with pytest.raises(NotFound, match=r"delete machines.cluster.x-k8s.io default/a \(UID u-1, resourceVersion 7\)"):
        DELETE.send(client)
